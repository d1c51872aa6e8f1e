package io.dlcache.key

import java.nio.file.{Files, Path}
import java.util.Comparator

import scala.jdk.CollectionConverters._

import io.dlcache.spark.ApplicationIdentity
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.scalatest.BeforeAndAfterAll
import org.scalatest.funsuite.AnyFunSuite

/** A Spark session, a scratch directory, and short forms of what the suites of plan keys ask again and again. */
abstract class KeySuite extends AnyFunSuite with BeforeAndAfterAll {
  protected lazy val spark: SparkSession = KeySuite.session
  protected lazy val scratch: Path = Files.createTempDirectory("plan-key-")

  override protected def afterAll(): Unit = {
    Files.walk(scratch).sorted(Comparator.reverseOrder[Path]).forEach(path => Files.delete(path))
    super.afterAll()
  }

  protected def keyOf(data: DataFrame, options: Map[String, String] = Map.empty): PlanKey =
    PlanKey.of(data, options, None)

  protected def digest(data: DataFrame): String = keyOf(data).digest

  /** The digest, of a key that must be durable. */
  protected def durable(data: DataFrame): String = {
    val key = keyOf(data)
    assert(key.scope == PlanKey.Durable, s"because ${reasons(key).mkString("; ")}\n${key.explanation.toPrettyString}")
    assert(key.applicationId.isEmpty)
    key.digest
  }

  /** The codes of the reasons why a key holds only in its session. */
  protected def sessionBecause(data: DataFrame): Set[String] = {
    val key = keyOf(data)
    assert(key.scope == PlanKey.Session)
    assert(key.applicationId.contains(ApplicationIdentity.of(spark.sparkContext)))
    key.explanation.get("reasons").elements().asScala.map(_.get("code").asText()).toSet
  }

  protected def reasons(key: PlanKey): Seq[String] =
    key.explanation.get("reasons").elements().asScala.map(_.get("message").asText()).toSeq

  protected def withConf[A](pairs: (String, String)*)(body: => A): A = {
    val before = pairs.map { case (name, _) => name -> spark.conf.getAll.get(name) }
    pairs.foreach { case (name, value) => spark.conf.set(name, value) }
    try body
    finally
      before.foreach {
        case (name, Some(value)) => spark.conf.set(name, value)
        case (name, None) => spark.conf.unset(name)
      }
  }

  /** A new Parquet directory under the scratch directory. */
  protected def parquet(name: String, rows: Long = 10): String = {
    val path = scratch.resolve(name).toString
    spark.range(rows).selectExpr("id", "id % 3 as k", "cast(id as string) as s").coalesce(1).write.parquet(path)
    path
  }

  protected def dataFiles(directory: String): Seq[Path] =
    Files.list(Path.of(directory)).iterator.asScala.filter(_.getFileName.toString.startsWith("part-")).toSeq.sorted
}

object KeySuite {
  lazy val session: SparkSession = {
    val session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session
  }

  private def builder = SparkSession.builder().master("local[2]").appName("plan keys")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.warehouse.dir", Files.createTempDirectory("plan-key-warehouse-").toUri.toString)
}
