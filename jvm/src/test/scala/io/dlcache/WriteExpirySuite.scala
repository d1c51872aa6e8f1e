package io.dlcache

import java.nio.file.{Files, Path => LocalPath}
import java.util.concurrent.{CyclicBarrier, TimeUnit}

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.ObjectMapper
import com.fasterxml.jackson.databind.node.ObjectNode
import org.apache.spark.sql.{DataFrame, SaveMode}
import org.apache.spark.sql.functions.{col, udf}
import org.scalatest.funsuite.AnyFunSuite

/** A dataset whose time to live has ended is no hit: the next write of its key builds it again. */
class WriteExpirySuite extends AnyFunSuite with WriteTest {

  private def rows(n: Long): DataFrame = spark.range(n).toDF("id")

  private def write(data: DataFrame, path: String, options: (String, String)*): Unit =
    data.write.format("dlcache").option("ttl", "1d").options(options.toMap).save(path)

  private def manifestFile(path: String, version: Long): LocalPath =
    LocalPath.of(path, "_dlcache", f"$version%020d.json")

  /** Makes the dataset look as if it had been written a day and a second ago. */
  private def age(path: String): Unit = {
    val file = manifestFile(path, current(path).version)
    val mapper = new ObjectMapper
    val manifest = mapper.readTree(Files.readString(file)).asInstanceOf[ObjectNode]
    manifest.put("created-at", current(path).createdAt.minusSeconds(86401).toString)
    manifest.remove("sha256")
    Files.writeString(file, mapper.writeValueAsString(manifest)): Unit
  }

  test("one that is not expired is a hit, an expired one is built again as the next version") {
    val path = newPath()
    write(rows(5), path)
    assert(stages(write(rows(5), path)) == 0)
    age(path)
    val old = current(path)
    assert(stages(write(rows(5), path)) > 0)
    val now = current(path)
    assert(now.version == 2 && now.planKey == old.planKey && now.timeToLive.contains(86400L))
    assert(now.datasetId != old.datasetId)
    assert(ids(path) == (0L until 5L))
    assert(stages(write(rows(5), path)) == 0)
  }

  test("who reads the expired version goes on") {
    val path = newPath()
    write(rows(5), path)
    age(path)
    val reading = read(path)
    write(rows(5), path)
    assert(reading.count() == 5)
    assert(store(path).versions() == Seq(1, 2))
    assert(store(path).read(1).shards.forall(shard => files(path)(shard.path)))
  }

  test("the mode 'ignore' builds it again too, and another key does not take its place") {
    val path = newPath()
    write(rows(5), path)
    age(path)
    refusal("DLCACHE_KEY_MISMATCH")(write(rows(6), path))
    rows(6).write.format("dlcache").mode(SaveMode.Ignore).save(path)
    assert(current(path).version == 1)
    rows(5).write.format("dlcache").mode(SaveMode.Ignore).save(path)
    assert(current(path).version == 2 && current(path).timeToLive.isEmpty)
  }

  test("two that find it expired: one builds it, the other discards its files and has a hit") {
    val path = newPath()
    write(rows(2), path, "key" -> "one")
    age(path)
    val threads = (1 to 2).map { _ =>
      new Thread(() => write(WriteExpirySuite.meeting(spark.range(0, 2, 1, 1).toDF("id")), path, "key" -> "one"))
    }
    threads.foreach(_.start())
    threads.foreach(_.join())
    assert(store(path).versions() == Seq(1, 2))
    assert(files(path) == namedFiles(path))
  }

  test("gc may take the expired version while it is built again") {
    val path = newPath()
    write(rows(2), path, "key" -> "one")
    age(path)
    val shards = current(path).shards.map(_.path)
    val writer =
      new Thread(() => write(WriteExpirySuite.meeting(spark.range(0, 2, 1, 1).toDF("id")), path, "key" -> "one"))
    writer.start()
    WriteExpirySuite.enter() // its job has begun
    Files.delete(manifestFile(path, 1))
    shards.foreach(shard => Files.delete(LocalPath.of(path, shard)))
    writer.join()
    // There was no dataset any more, so its numbers begin again.
    assert(store(path).versions() == Seq(1))
    assert(ids(path) == Seq(0L, 1L))
    assert(files(path) == namedFiles(path))
    val leases = LocalPath.of(path, "_dlcache", "leases")
    assert(!Files.exists(leases) || Files.list(leases).iterator.asScala.isEmpty)
  }
}

/** Tasks and test run in one JVM. */
object WriteExpirySuite {
  private val barrier = new CyclicBarrier(2)

  def enter(): Unit = barrier.await(60, TimeUnit.SECONDS): Unit

  /** Rows that wait for a second party before the first of them is there. */
  def meeting(data: DataFrame): DataFrame = {
    val meet = udf { (id: Long) =>
      if (id == 0) enter()
      id
    }
    data.select(meet(col("id")).as("id"))
  }
}
