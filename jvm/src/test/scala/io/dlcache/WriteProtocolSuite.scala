package io.dlcache

import java.nio.file.{Files, Path => LocalPath}
import java.time.Instant
import java.util.UUID
import java.util.concurrent.{CountDownLatch, TimeUnit}
import java.util.concurrent.atomic.AtomicInteger

import scala.jdk.CollectionConverters._

import io.dlcache.lifecycle.{DeletionRecord, Lease}
import io.dlcache.manifest.ShardName
import org.apache.spark.SparkException
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobEnd, SparkListenerTaskEnd, SparkListenerTaskStart}
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{col, udf}
import org.scalatest.funsuite.AnyFunSuite

/** What a write looks at and in which order, what it leaves, and what it refuses: docs/format.md §5 and §7. */
class WriteProtocolSuite extends AnyFunSuite with WriteTest {

  private def rows(from: Long, to: Long): DataFrame = spark.range(from, to, 1, 2).toDF("id")

  /** Rows whose job does `act` once before it writes any, or before the row `at`. */
  private def doing(from: Long, to: Long, at: Long = 0)(act: () => Unit): DataFrame = {
    WriteProtocolSuite.act = act
    val meanwhile = udf { (id: Long) =>
      if (id >= at) WriteProtocolSuite.run()
      id
    }
    spark.range(from, to, 1, 1).select(meanwhile(col("id")).as("id"))
  }

  private def save(data: DataFrame, path: String, mode: String = "errorifexists"): Unit =
    data.write.format("dlcache").mode(mode).save(path)

  private def cached(data: DataFrame, root: LocalPath): String = {
    val request = s"$root ${UUID.randomUUID()}"
    data.write.format("dlcache").option("root", root.toString).option("request", request).save()
    val outcome = spark.read.format("dlcache").option("request", request).load().head()
    assert(outcome.getAs[Boolean]("hit") == false)
    outcome.getAs[String]("path").stripPrefix("file:")
  }

  private def place(path: String): LocalPath = LocalPath.of(path)

  private def entries(directory: LocalPath): Seq[String] = {
    val walk = Files.walk(directory)
    try walk.iterator().asScala.map(directory.relativize(_).toString).filter(_.nonEmpty).toSeq.sorted
    finally walk.close()
  }

  private def leases(path: String): Seq[Lease] = {
    val directory = place(path).resolve("_dlcache/leases")
    if (!Files.exists(directory)) Nil
    else {
      val listing = Files.list(directory)
      try listing.iterator().asScala.map(file => Lease.parse(Files.readString(file)).get).toSeq
      finally listing.close()
    }
  }

  private def shards(path: String): Seq[LocalPath] = current(path).shards.map(shard => place(path).resolve(shard.path))

  test("a dataset under the root that lost a shard, or a part of one, is built again") {
    val root = place(newPath())
    val path = cached(rows(0, 100), root)
    Files.delete(shards(path).head)
    assert(cached(rows(0, 100), root) == path)
    assert(current(path).version == 2 && ids(path) == (0L until 100L))
    Files.write(shards(path).last, Array[Byte](1))
    assert(cached(rows(0, 100), root) == path)
    assert(current(path).version == 3 && ids(path) == (0L until 100L))
  }

  test("a dataset at a path of the user's that lost a shard is an error that names it, until it is overwritten") {
    val path = newPath()
    save(rows(0, 100), path)
    val lost = shards(path).last
    Files.delete(lost)
    Seq("errorifexists", "ignore").foreach { mode =>
      val e = refusal("DLCACHE_DATASET_DAMAGED")(save(rows(0, 100), path, mode))
      assert(e.getMessage.contains(lost.getFileName.toString) && e.getMessage.contains("overwrite"))
    }
    save(rows(0, 100), path, "overwrite")
    save(rows(0, 100), path)
    assert(ids(path) == (0L until 100L))
  }

  test("a failed job leaves nothing, not even a folder") {
    val failing = doing(0, 10)(() => throw new IllegalStateException("no rows"))
    val root = Files.createDirectories(place(newPath()))
    intercept[SparkException](failing.write.format("dlcache").option("root", root.toString).option("key", "k").save())
    assert(entries(root).isEmpty)
    val path = newPath()
    intercept[SparkException](save(doing(0, 10)(() => throw new IllegalStateException("no rows")), path))
    assert(!Files.exists(place(path)))
    Files.createDirectories(place(path))
    intercept[SparkException](save(doing(0, 10)(() => throw new IllegalStateException("no rows")), path))
    assert(Files.exists(place(path)) && entries(place(path)).isEmpty)
  }

  test("a write whose job fails throws when its other tasks have ended, and they leave nothing") {
    val path = newPath()
    val halted = udf { (id: Long) =>
      if (id == 0) {
        WriteProtocolSuite.isWriting.countDown()
        WriteProtocolSuite.hasFailed.await(60, TimeUnit.SECONDS)
      } else {
        WriteProtocolSuite.isWriting.await(60, TimeUnit.SECONDS)
        throw new IllegalStateException("no rows")
      }
      id
    }
    val running = new AtomicInteger
    val listener = new SparkListener {
      override def onTaskStart(event: SparkListenerTaskStart): Unit = running.incrementAndGet(): Unit
      override def onTaskEnd(event: SparkListenerTaskEnd): Unit = running.decrementAndGet(): Unit
      override def onJobEnd(event: SparkListenerJobEnd): Unit = WriteProtocolSuite.hasFailed.countDown()
    }
    spark.sparkContext.addSparkListener(listener)
    try intercept[SparkException](save(spark.range(0, 2, 1, 2).select(halted(col("id")).as("id")), path))
    finally spark.sparkContext.removeSparkListener(listener)
    assert(WriteProtocolSuite.hasFailed.getCount == 0 && running.get == 0)
    assert(!Files.exists(place(path)))
  }

  test("a dataset does not begin where anything of others is") {
    val inData = newPath()
    rows(0, 3).write.option("compression", "none").parquet(s"$inData/data")
    val hidden = newPath()
    Files.writeString(Files.createDirectories(place(hidden)).resolve(".gitkeep"), "")
    val folder = newPath()
    Files.createDirectories(place(folder).resolve("data").resolve("mine"))
    Seq(inData, hidden, folder).foreach { path =>
      val before = entries(place(path))
      refusal("DLCACHE_PATH_OCCUPIED")(save(rows(0, 3), path))
      assert(entries(place(path)) == before)
    }
  }

  test("a dataset begins where a failed write has left shards") {
    val path = newPath()
    Files.createDirectories(place(path).resolve("data"))
    Files.writeString(place(path).resolve(ShardName.of(UUID.randomUUID(), 0, 0)), "half")
    save(rows(0, 3), path)
    assert(ids(path) == Seq(0, 1, 2))
  }

  test("a writer has a lease with its job and the version that it builds on from before its job") {
    val path = newPath()
    save(rows(0, 10), path)
    save(rows(10, 20), path, "append")
    var seen = Seq.empty[Lease]
    save(doing(20, 30)(() => seen = leases(path)), path, "append")
    assert(seen.map(_.kind) == Seq(Lease.Writer) && seen.head.baseVersion.contains(2L))
    val job = seen.head.job
    assert(job.isDefined && current(path).shards.map(shard => ShardName.job(shard.path)).last == job)
    assert(leases(path).isEmpty)
  }

  test("an append takes a number above all that it knows of, also when lower ones were deleted") {
    val path = newPath()
    save(rows(0, 10), path)
    val slow = doing(10, 20) { () =>
      val there = current(path)
      Seq(2L, 3L).foreach(version => assert(store(path).publish(there.copy(version = version))))
      Seq(1L, 2L).foreach(version => Files.delete(place(store(path).manifestPath(version).toUri.getPath)))
    }
    save(slow, path, "append")
    assert(store(path).versions() == Seq(3, 4))
    assert(ids(path).sorted == (0L until 20L))
  }

  private def record(path: String, versions: Seq[Long], shards: Seq[String], expiresAt: Instant): LocalPath = {
    val file = place(store(path).recordPath(UUID.randomUUID()).toUri.getPath)
    Files.write(file, DeletionRecord.own(versions, shards, expiresAt).write)
  }

  test("a writer waits for a deletion at work, and not for one that has ended") {
    val path = newPath()
    save(rows(0, 10), path)
    record(path, Seq(1), Nil, Instant.EPOCH)
    val live = record(path, Seq(1), Nil, Instant.now().plusSeconds(100))
    // It has looked at the leases, deletes the manifest, and stops when it sees the writer's.
    val deleter = new Thread(() => {
      Files.delete(place(store(path).manifestPath(1).toUri.getPath))
      Files.delete(live)
    })
    val waiting = doing(10, 20)(() => deleter.start())
    save(waiting, path, "overwrite")
    deleter.join()
    assert(store(path).versions() == Seq(1) && ids(path) == (10L until 20L))
  }

  test("an append that a deletion overtakes says so, and leaves nothing") {
    val path = newPath()
    save(rows(0, 10), path)
    val overtaken = doing(10, 20)(() => Files.delete(place(store(path).manifestPath(1).toUri.getPath)))
    val before = files(path)
    refusal("DLCACHE_DATASET_DELETED")(save(overtaken, path, "append"))
    assert(files(path) == before && leases(path).isEmpty)
  }

  test("a write whose shards a deletion is about to take publishes nothing") {
    val path = newPath()
    save(rows(0, 10), path)
    val before = files(path)
    val halted = doing(10, 20, at = 15) { () =>
      val job = leases(path).head.job
      val mine = files(path).filter(shard => ShardName.job(shard) == job)
      assert(mine.nonEmpty)
      record(path, Nil, mine.toSeq, Instant.EPOCH): Unit
    }
    val write = halted.write.format("dlcache").mode("append").option("targetShardBytes", 1).option("rowGroupBytes", 1)
    refusal("DLCACHE_WRITE_EXPIRED")(write.save(path))
    assert(store(path).versions() == Seq(1) && files(path) == before)
  }
}

/** Tasks and test run in one JVM; a task finds its act by name, since it is not serializable. */
object WriteProtocolSuite {
  val isWriting = new CountDownLatch(1)
  val hasFailed = new CountDownLatch(1)
  @volatile private var act: () => Unit = () => ()

  private def run(): Unit = synchronized {
    val once = act
    act = () => ()
    once()
  }
}
