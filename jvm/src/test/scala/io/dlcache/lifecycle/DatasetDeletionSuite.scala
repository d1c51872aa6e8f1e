package io.dlcache.lifecycle

import java.nio.file.{Files, Path => LocalPath}
import java.time.Instant
import java.util.UUID

import scala.jdk.CollectionConverters._

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.scalatest.BeforeAndAfterEach
import org.scalatest.funsuite.AnyFunSuite

class DatasetDeletionSuite extends AnyFunSuite with BeforeAndAfterEach {

  private var root: LocalPath = _
  private def dataset = root.resolve("set #1")

  override def beforeEach(): Unit = {
    root = Files.createTempDirectory("deletion")
    Seq(s"data/part-00000-0-${UUID.randomUUID()}.parquet", "_dlcache/00000000000000000001.json").foreach(put)
    put("_dlcache/00000000000000000002.json")
    put(s"_dlcache/.${UUID.randomUUID()}.tmp")
  }

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

  private def delete() = new DatasetDeletion(new Path(dataset.toUri), new Configuration(false)).run()

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
    val mine = Set("notes.txt", "data/part-0.parquet", "_dlcache/leases/mine.json", "more/a.bin", "data/deep/b.parquet")
    mine.foreach(put)
    assert(delete())
    assert(filesLeft == mine)
  }

  test("a link is not followed") {
    val elsewhere = Files.createDirectory(root.resolve("elsewhere"))
    val kept = Files.createFile(elsewhere.resolve(s"part-${UUID.randomUUID()}.parquet"))
    Files.createSymbolicLink(dataset.resolve("data").resolve(s"part-${UUID.randomUUID()}.parquet"), kept)
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

  test("what is not there is gone") {
    assert(delete())
    assert(delete())
  }
}
