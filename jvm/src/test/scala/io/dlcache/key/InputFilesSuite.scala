package io.dlcache.key

import java.nio.file.{Files, Path => LocalPath}
import java.nio.file.attribute.FileTime

import io.dlcache.spark.PlanLeaf.FileState
import io.dlcache.spark.Sessions
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs._

/** Files are looked at again before their rows are published, and waited for before they are read. */
class InputFilesSuite extends KeySuite {

  private def file(name: String, modified: Long, etag: Option[String] = None): FileState =
    FileState(s"file:/d/$name", 1, modified, etag)

  private def settling(now: Long, files: FileState*): Long = new InputFiles(Seq(Map.empty[String, String] -> files))
    .settling(now)

  test("a young file is read when its file system's clock has moved on since") {
    val now = 1700000000000L
    assert(settling(now) == 0)
    assert(settling(now, file("a", now - 3600000)) == 0)
    assert(settling(now, file("a", now - 7)) == 20)
    // The clock shows parts of a second if one file of the directory does.
    assert(settling(now, file("a", now - 3000), file("b", now - 1234)) == 20)
    assert(settling(now, file("a", now - 3000)) == 2000)
    // The store's clock may be ahead.
    assert(settling(now, file("a", now + 9000)) == 2000)
    assert(settling(now, file("a", now - 3000, Some("e"))) == 0)
    assert(settling(now, file("a", now - 7), FileState("file:/e/b", 1, now - 3000, None)) == 2000)
  }

  private def inputs(directory: LocalPath): InputFiles = {
    val fs = FileSystem.getLocal(new Configuration(false))
    val states = fs.listStatus(new Path(directory.toUri)).toSeq.map(FileState.of)
    new InputFiles(Seq(Map.empty[String, String] -> states))
  }

  test("a file that is gone, longer, or of another time has changed; new files beside it do not matter") {
    Seq(3, 30).foreach { count =>
      val directory = Files.createDirectory(scratch.resolve(s"look-$count"))
      (0 until count).foreach(i => Files.writeString(directory.resolve(s"f$i"), s"$i"))
      val files = inputs(directory)
      val conf = Sessions.hadoopConf(spark)
      val one = directory.resolve("f2")
      assert(files.changed(conf).isEmpty)
      Files.writeString(directory.resolve("new"), "x")
      assert(files.changed(conf).isEmpty)
      val time = Files.getLastModifiedTime(one)
      Files.setLastModifiedTime(one, FileTime.fromMillis(time.toMillis + 1000))
      assert(files.changed(conf).exists(_.endsWith("/f2")))
      Files.setLastModifiedTime(one, time)
      assert(files.changed(conf).isEmpty)
      Files.writeString(one, "longer")
      Files.setLastModifiedTime(one, time)
      assert(files.changed(conf).exists(_.endsWith("/f2")))
      Files.delete(one)
      assert(files.changed(conf).exists(_.endsWith("/f2")))
    }
  }

  test("a directory that is gone is a change") {
    val directory = Files.createDirectory(scratch.resolve("gone"))
    val one = Files.writeString(directory.resolve("f"), "x")
    val files = inputs(directory)
    Files.delete(one)
    Files.delete(directory)
    assert(files.changed(Sessions.hadoopConf(spark)).isDefined)
  }

  test("an ETag counts where the store gives one: of equal length and time, and instead of the time") {
    val conf = spark.sparkContext.hadoopConfiguration
    conf.set("fs.marked.impl", classOf[MarkedFileSystem].getName)
    val directory = Files.createDirectory(scratch.resolve("marked"))
    val one = directory.resolve("one.txt")
    def write(text: String, time: Long): Unit = {
      Files.writeString(one, text)
      Files.setLastModifiedTime(one, FileTime.fromMillis(time)): Unit
    }
    def key() = keyOf(spark.read.text(s"marked:$directory"))
    write("a", 1000)
    val before = key()
    assert(before.scope == PlanKey.Durable)
    assert(before.explanation.get("inputs").get(0).get("list").get(0).get(3).asText == "e-a")
    write("b", 1000)
    assert(key().digest != before.digest)
    assert(before.files.changed(Sessions.hadoopConf(spark)).isDefined)
    // The same content written again is the same content.
    write("a", 2000)
    assert(before.files.changed(Sessions.hadoopConf(spark)).isEmpty)
  }

  test("ten thousand files are looked at again") {
    val directory = Files.createDirectory(scratch.resolve("many"))
    (0 until 100).foreach { day =>
      val part = Files.createDirectory(directory.resolve(s"day=$day"))
      (0 until 100).foreach(i => Files.write(part.resolve(f"part-$i%05d.parquet"), Array[Byte](1)))
    }
    val files = keyOf(spark.read.schema("a int, day int").parquet(directory.toString)).files
    val conf = Sessions.hadoopConf(spark)
    val times = Seq.fill(5) {
      val start = System.nanoTime()
      assert(files.changed(conf).isEmpty)
      (System.nanoTime() - start) / 1e6
    }
    info(f"a look at 10,000 files: ${times.min}%.1f ms at best, ${times.max}%.1f ms at worst of ${times.length}")
  }
}

/** Local files, with an ETag that is their content. */
class MarkedFileSystem extends RawLocalFileSystem {
  override def getScheme: String = "marked"
  override def getUri: java.net.URI = java.net.URI.create("marked:///")
  override def listStatus(path: Path): Array[FileStatus] = super.listStatus(path).map(marked)
  override def getFileStatus(path: Path): FileStatus = marked(super.getFileStatus(path))

  private def marked(status: FileStatus): FileStatus =
    if (status.isDirectory) status
    else new MarkedStatus(status, "e-" + Files.readString(LocalPath.of(status.getPath.toUri.getPath)))
}

class MarkedStatus(status: FileStatus, etag: String)
    extends LocatedFileStatus(
      status.getLen,
      false,
      1,
      status.getBlockSize,
      status.getModificationTime,
      0,
      null,
      null,
      null,
      null,
      status.getPath,
      false,
      false,
      false,
      Array.empty[BlockLocation]
    )
    with EtagSource {
  override def getEtag: String = etag
}
