package io.dlcache.lifecycle

import java.nio.file.{Files, Path => LocalPath}
import java.time.Instant
import java.util.UUID

import scala.jdk.CollectionConverters._

import io.dlcache.manifest.{DatasetStore, Manifest, Manifests, ShardEntry, ShardName}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.scalatest.BeforeAndAfterEach
import org.scalatest.funsuite.AnyFunSuite

class DatasetDeletionSuite extends AnyFunSuite with BeforeAndAfterEach {

  private var root: LocalPath = _
  private def dataset = root.resolve("set #1")

  private val job = UUID.randomUUID()

  override def beforeEach(): Unit = {
    root = Files.createTempDirectory("deletion")
    Seq(1L, 2L).foreach { version =>
      val shard = ShardEntry(ShardName.of(job, 0, 0), version, 1, 12, 0, 1, Nil)
      put(shard.path)
      assert(store.publish(Manifests.empty(version).copy(shards = Seq(shard))))
    }
    put(s"_dlcache/.${UUID.randomUUID()}.tmp")
    put(ShardName.of(job, 7, 0))
  }

  private def store = new DatasetStore(new Path(dataset.toUri), new Configuration(false))

  override def afterEach(): Unit = all(root).reverse.foreach(Files.delete)

  private def put(name: String): LocalPath = {
    val file = dataset.resolve(name)
    Files.createDirectories(file.getParent)
    Files.writeString(file, "x")
  }

  private def all(directory: LocalPath): Seq[LocalPath] = {
    val walk = Files.walk(directory)
    try walk.iterator().asScala.toSeq
    finally walk.close()
  }

  private def filesLeft = all(root).filter(Files.isRegularFile(_)).map(dataset.relativize(_).toString).toSet

  private def delete(isOwned: Manifest => Boolean = _ => true) =
    new DatasetDeletion(new Path(dataset.toUri), new Configuration(false)).run(isOwned)

  private def lease(kind: String, expiresAt: Instant): LocalPath = {
    val file = put(s"_dlcache/leases/${UUID.randomUUID()}.json")
    Files.writeString(file, Lease.write(Lease(kind, "elsewhere", 1, None, expiresAt, Some(2), Some("app-1"))))
  }

  test("all of a dataset goes, with its directory") {
    lease(Lease.Application, Instant.now().plusSeconds(1000))
    lease(Lease.Reader, Instant.EPOCH)
    assert(delete())
    assert(!Files.exists(dataset))
  }

  test("files that dlcache did not write stay") {
    val spark = s"data/part-00000-${UUID.randomUUID()}-c000.snappy.parquet"
    val unknown = ShardName.of(UUID.randomUUID(), 0, 0)
    val mine = Set("notes.txt", spark, unknown, "_dlcache/leases/mine.json", "more/a.bin", "data/deep/b.parquet")
    mine.foreach(put)
    assert(delete())
    assert(filesLeft == mine)
  }

  test("a link is not followed") {
    val elsewhere = Files.createDirectory(root.resolve("elsewhere"))
    val kept = Files.createFile(elsewhere.resolve("kept"))
    Files.createSymbolicLink(dataset.resolve(ShardName.of(job, 8, 0)), kept)
    assert(delete())
    assert(Files.exists(kept))
  }

  Seq(Lease.Reader, Lease.Writer).foreach { kind =>
    test(s"a live $kind keeps everything") {
      lease(kind, Instant.now().plusSeconds(1000))
      val before = filesLeft
      assert(!delete())
      assert(filesLeft == before)
    }
  }

  test("a failed write that a dead lease names goes too") {
    val orphan = UUID.randomUUID()
    put(ShardName.of(orphan, 0, 0))
    val file = put(s"_dlcache/leases/${UUID.randomUUID()}.json")
    Files.writeString(
      file,
      Lease.write(Lease("writer", "elsewhere", 1, None, Instant.EPOCH, job = Some(orphan.toString)))
    )
    assert(delete())
    assert(!Files.exists(dataset))
  }

  test("the dataset of another owner stays") {
    val before = filesLeft
    assert(delete(_.version == 1))
    assert(filesLeft == before)
  }

  test("a writer that comes while it is deleted keeps the dataset") {
    val before = filesLeft
    assert(!delete { _ =>
      lease(Lease.Writer, Instant.now().plusSeconds(1000))
      true
    })
    assert(filesLeft.size == before.size + 1)
    assert(before.subsetOf(filesLeft))
  }

  test("what is not there is gone") {
    assert(delete())
    assert(delete())
  }
}
