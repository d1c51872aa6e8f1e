package io.dlcache.manifest

import java.io.{ByteArrayOutputStream, IOException}
import java.net.URI
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.{FileAlreadyExistsException, Files, StandardOpenOption}
import java.util.concurrent.{Callable, Executors}

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataOutputStream, FSDataOutputStreamBuilder, Path, RawLocalFileSystem}
import org.scalatest.funsuite.AnyFunSuite

class PublicationSuite extends AnyFunSuite {

  import Publication._

  private def withFile[T](body: java.nio.file.Path => T): T = {
    val directory = Files.createTempDirectory("dlcache-publication")
    try body(directory.resolve("1.json"))
    finally {
      val paths = Files.walk(directory)
      try paths.iterator().asScala.toSeq.reverse.foreach(Files.delete)
      finally paths.close()
    }
  }

  private def countFiles(directory: java.nio.file.Path): Long = {
    val files = Files.list(directory)
    try files.count()
    finally files.close()
  }

  test("each store has its method, or a reason why it has none") {
    val nothing = (_: String) => false
    assert(method("file", nothing) == Right(LinkLocally))
    assert(method("hdfs", nothing) == Right(RenameWithoutReplacing))
    assert(method("gs", nothing) == Right(CreateExclusively))
    assert(method("s3a", _ == ConditionalOverwrite) == Right(PutConditionally))
    assert(method("anything", _ == ConditionalOverwrite) == Right(PutConditionally))
    assert(method("abfss", _ == EtagsPreservedInRename) == Right(RenameWithoutReplacing))
    assert(method("s3a", nothing).left.exists(_.contains("3.4.2")))
    assert(method("abfss", nothing).left.exists(_.contains("hierarchical namespace")))
    assert(method("ftp", nothing).left.exists(_.contains("'ftp:'")))
  }

  test("a store without a method is refused by name before anything is written") {
    withFile { file =>
      val conf = new Configuration()
      conf.set("fs.odd.impl", classOf[OddFileSystem].getName)
      val error = intercept[DlcacheException](
        new DatasetStore(new Path(s"odd:${file.getParent}"), conf).publish(Manifests.empty())
      )
      assert(error.getCondition == "DLCACHE_STORE_UNSUPPORTED" && error.getMessage.contains("'odd:'"))
      assert(countFiles(file.getParent) == 0)
    }
  }

  private def check(publication: Publication, file: java.nio.file.Path): Unit = {
    assert(publication.publish("first".getBytes(UTF_8)))
    assert(!publication.publish("second".getBytes(UTF_8)))
    assert(Files.readString(file) == "first")
    assert(countFiles(file.getParent) == 1)
  }

  test("a rename does not replace, and leaves no temporary file") {
    withFile { file =>
      val path = new Path(file.toUri)
      val conf = new Configuration()
      check(new RenamePublication(DatasetFiles.fileSystem(path, conf), path, conf), file)
    }
  }

  test("create without overwriting is asked for") {
    withFile { file =>
      val path = new Path(file.toUri)
      check(new ExclusivePublication(DatasetFiles.fileSystem(path, new Configuration()), path), file)
    }
  }

  test("a conditional put does not replace, and of many exactly one succeeds") {
    withFile { file =>
      check(new ConditionalPublication(new ConditionalFileSystem, new Path(file.toString)), file)
      val pool = Executors.newFixedThreadPool(8)
      try
        for (round <- 0 until 20) {
          val target = new Path(file.resolveSibling(s"round-$round").toString)
          val tasks = (0 until 8).map { i =>
            (
                () => new ConditionalPublication(new ConditionalFileSystem, target).publish(Array(i.toByte))
            ): Callable[Boolean]
          }
          assert(pool.invokeAll(tasks.asJava).asScala.count(_.get()) == 1)
        }
      finally pool.shutdown()
    }
  }

  test("when the answer to a put is lost, the file says who won") {
    withFile { file =>
      val path = new Path(file.toString)
      val lossy = new ConditionalFileSystem(loseAnswer = true)
      assert(new ConditionalPublication(lossy, path).publish("ours".getBytes(UTF_8)))
      assert(!new ConditionalPublication(lossy, path).publish("theirs".getBytes(UTF_8)))
      assert(Files.readString(file) == "ours")
    }
  }

  test("when a put fails and nothing is there, the error is the caller's") {
    withFile { file =>
      val broken = new ConditionalFileSystem(failBefore = true)
      val error = intercept[IOException](
        new ConditionalPublication(broken, new Path(file.toString)).publish("ours".getBytes(UTF_8))
      )
      assert(error.getMessage == "no connection")
      assert(Files.notExists(file))
    }
  }
}

class OddFileSystem extends RawLocalFileSystem {
  override def getUri: URI = URI.create("odd:///")
  override def getScheme: String = "odd"
  override def checkPath(path: Path): Unit = ()
}

/** An object store: nothing is there before `close`, which fails if something is. */
class ConditionalFileSystem(loseAnswer: Boolean = false, failBefore: Boolean = false) extends RawLocalFileSystem {
  initialize(URI.create("file:///"), new Configuration())

  override def createFile(path: Path): Builder = new Builder(path)

  class Builder(path: Path) extends FSDataOutputStreamBuilder[FSDataOutputStream, Builder](this, path) {
    override def getThisBuilder: Builder = this

    override def build(): FSDataOutputStream = {
      require(getMandatoryKeys.asScala == Set(Publication.ConditionalOverwrite))
      require(getOptions.getBoolean(Publication.ConditionalOverwrite, false))
      new FSDataOutputStream(new Upload(path), null)
    }
  }

  private class Upload(path: Path) extends ByteArrayOutputStream {
    override def close(): Unit = {
      if (failBefore) throw new IOException("no connection")
      try Files.write(pathToFile(path).toPath, toByteArray, StandardOpenOption.CREATE_NEW): Unit
      catch { case e: FileAlreadyExistsException => throw new IOException("412 Precondition Failed", e) }
      if (loseAnswer) throw new IOException("connection reset")
    }
  }
}
