package io.dlcache

import java.nio.file.{Files, Path => LocalPath}
import java.util.UUID
import java.util.concurrent.{ConcurrentLinkedQueue, CountDownLatch, TimeUnit}

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import io.dlcache.manifest.{DatasetStore, Manifest}
import io.dlcache.spark.Sessions
import org.apache.hadoop.fs.{FileUtil, Path}
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart, SparkListenerStageSubmitted}
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.scalatest.{BeforeAndAfterAll, Suite}

/** A session, a directory of its own, and a look at what a write did. */
private[dlcache] trait WriteTest extends BeforeAndAfterAll { this: Suite =>
  protected lazy val spark: SparkSession = SparkSession.builder().getOrCreate()
  protected lazy val scratch: LocalPath = Files.createTempDirectory("dlcache-write")

  override protected def afterAll(): Unit = {
    // Tasks of failed jobs may still be deleting their own files.
    FileUtil.fullyDelete(scratch.toFile)
    super.afterAll()
  }

  protected def newPath(): String = scratch.resolve(s"a set ${UUID.randomUUID()}").toString

  protected def store(path: String): DatasetStore = new DatasetStore(new Path(path), Sessions.hadoopConf(spark))

  protected def current(path: String): Manifest = store(path).current().get

  protected def read(path: String): DataFrame = spark.read.format("dlcache").load(path)

  protected def ids(path: String): Seq[Long] = read(path).select("id").collect().map(_.getLong(0)).toSeq

  /** The files under `data/`, as manifests name them. */
  protected def files(path: String): Set[String] = {
    val data = scratch.getFileSystem.getPath(path).resolve("data")
    if (!Files.exists(data)) Set.empty
    else {
      val entries = Files.list(data)
      try entries.iterator().asScala.map(file => s"data/${file.getFileName}").toSet
      finally entries.close()
    }
  }

  protected def namedFiles(path: String): Set[String] =
    store(path).versions().flatMap(store(path).read(_).shards.map(_.path)).toSet

  protected def refusal(condition: String)(body: => Unit): DlcacheException = {
    val e = intercept(body)
    assert(e.getCondition == condition, e.getMessage)
    e
  }

  private def intercept(body: => Unit): DlcacheException =
    try {
      body
      throw new AssertionError("nothing was refused")
    } catch { case e: DlcacheException => e }

  /** How many stages Spark submits in `body`. */
  protected def stages(body: => Unit): Int = {
    val seen = new ConcurrentLinkedQueue[String]
    val marker = UUID.randomUUID().toString
    val last = new CountDownLatch(1)
    val context = spark.sparkContext
    val listener = new SparkListener {
      override def onStageSubmitted(event: SparkListenerStageSubmitted): Unit =
        if (event.properties.getProperty(WriteTest.Marker) == null) seen.add(event.stageInfo.name): Unit
      override def onJobStart(event: SparkListenerJobStart): Unit =
        if (event.properties.getProperty(WriteTest.Marker) == marker) last.countDown()
    }
    context.addSparkListener(listener)
    try {
      body
      // Events come in order: when this job's has come, all of `body` have.
      context.setLocalProperty(WriteTest.Marker, marker)
      try context.parallelize(Seq(1), 1).count(): Unit
      finally context.setLocalProperty(WriteTest.Marker, null)
      assert(last.await(60, TimeUnit.SECONDS))
      seen.size
    } finally context.removeSparkListener(listener)
  }
}

private[dlcache] object WriteTest {
  private val Marker = "dlcache.test.marker"
}
