package io.dlcache.key

import java.lang.management.ManagementFactory
import java.nio.file.{Files, Path}

import scala.io.Source
import scala.jdk.CollectionConverters._

import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.functions._

/** Durable keys are equal in another JVM, with other identity hashes, another application and another number of cores. */
class KeyAcrossJvmsSuite extends KeySuite {

  test("durable keys are equal in two JVMs") {
    val path = parquet("shared", rows = 100)
    val csv = scratch.resolve("shared-csv").toString
    spark.range(5).selectExpr("id", "id % 2 as day").write.partitionBy("day").option("header", "true").csv(csv)

    val here = KeysOfQueries.queries(spark, path, csv).map { case (name, data) => name -> durable(data) }
    val there = inAnotherJvm("local[3]", path, csv)
    assert(there.keySet == here.toMap.keySet)
    here.foreach { case (name, digest) => assert(there(name) == digest, name) }
    assert(here.map(_._2).distinct.length == here.length)
  }

  private def inAnotherJvm(master: String, arguments: String*): Map[String, String] = {
    val java = Path.of(System.getProperty("java.home"), "bin", "java").toString
    val options = ManagementFactory.getRuntimeMXBean.getInputArguments.asScala.filter { option =>
      option.startsWith("--add") || option.startsWith("-XX") || option.startsWith("-Duser")
    }
    val errors = scratch.resolve("another-jvm.log").toFile
    val command = Seq(java, "-Xmx1g") ++ options ++
      Seq("-cp", System.getProperty("java.class.path"), "io.dlcache.key.KeysOfQueries", master) ++ arguments
    val process = new ProcessBuilder(command.asJava).redirectError(errors).start()
    val lines =
      try Source.fromInputStream(process.getInputStream).getLines().toList
      finally process.getInputStream.close()
    assert(process.waitFor() == 0, Files.readString(errors.toPath))
    lines.collect { case KeysOfQueries.Line(name, digest) => name -> digest }.toMap
  }
}

/** Prints the keys of some queries. */
object KeysOfQueries {
  val Line = "key (.+) = ([0-9a-f]{64})".r

  def main(arguments: Array[String]): Unit = {
    val session = SparkSession.builder().master(arguments(0)).config("spark.ui.enabled", "false").getOrCreate()
    try
      queries(session, arguments(1), arguments(2)).foreach { case (name, data) =>
        println(s"key $name = ${PlanKey.of(data, Map.empty, None).digest}")
      }
    finally session.stop()
  }

  def queries(session: SparkSession, path: String, csv: String): Seq[(String, DataFrame)] = {
    import session.implicits._
    def table = session.read.parquet(path)
    table.createOrReplaceTempView("t")
    Seq(
      "files" -> table,
      "partitioned csv" -> session.read.option("header", "true").csv(csv),
      "filter" -> table.filter("id > 3 and k = 1 and s <> 'a' and id <> 7"),
      "comparison of expressions" -> table.filter(col("id") + 1 === col("k") * 2),
      "in" -> table.filter("s in ('c', 'a', 'b')"),
      "aggregate" -> table.groupBy("k").agg(sum("id"), max("s"), collect_list("id")),
      "join of files" -> table.alias("a").join(table.alias("b"), col("a.id") === col("b.k")).select("a.s"),
      "subqueries" -> session.sql(
        "select id from t where (id in (select k from t) or exists (select 1 from t u where u.k = t.id)) " +
          "and id < (select max(id) from t)"
      ),
      "common table expression" -> session.sql(
        "with c as (select * from t where k = 1) select * from c a join c b using (id)"
      ),
      "window" -> session.sql("select id, rank() over (partition by k order by s desc) r from t"),
      "local data" -> Seq((1, "a", Seq(1.5f)), (2, "b", Seq(2.5f))).toDF("i", "s", "v"),
      "range" -> session.range(100).toDF(),
      "functions" -> table.selectExpr(
        "upper(s) u",
        "nullif(id, k) n",
        "transform(array(id), x -> x + k) a",
        "date_format(timestamp'2024-01-01', 'yyyy') y",
        "from_json(s, 'a int') j",
        "regexp_replace(s, '1', '2') r"
      ),
      "dates" -> session.sql("select cast('2024-01-01' as timestamp) a, interval 3 days b, decimal(1.5) c, X'00' d")
    ) ++ MLlibQueries.of(session, path)
  }
}
