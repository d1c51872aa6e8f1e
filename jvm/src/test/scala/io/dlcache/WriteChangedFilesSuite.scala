package io.dlcache

import java.nio.file.{Files, Path => LocalPath}
import java.nio.file.attribute.FileTime

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{col, udf}
import org.scalatest.funsuite.AnyFunSuite

/** Files may be replaced between the moment that a DataFrame lists them and the end of the write that reads them. */
class WriteChangedFilesSuite extends AnyFunSuite with WriteTest {

  private def file(rows: Int*): LocalPath = {
    val path = Files.createDirectory(scratch.resolve(s"in ${java.util.UUID.randomUUID()}")).resolve("f.csv")
    replace(path, rows: _*)
    path
  }

  private def replace(path: LocalPath, rows: Int*): Unit = Files.writeString(path, rows.mkString("", "\n", "\n")): Unit

  private def list(path: LocalPath): DataFrame = spark.read.schema("id long").csv(path.toString)

  test("a file that was replaced after it was listed is refused, and what it holds is found under no key") {
    val input = file(1, 2, 3)
    val time = Files.getLastModifiedTime(input)
    val listed = list(input)
    replace(input, 7, 8, 9)
    Files.setLastModifiedTime(input, FileTime.fromMillis(time.toMillis + 3000))
    val path = newPath()
    val e = refusal("DLCACHE_FILES_CHANGED")(listed.write.format("dlcache").save(path))
    assert(e.getMessage.contains("f.csv") && e.getMessage.contains("REFRESH TABLE"))
    assert(files(path).isEmpty && !store(path).exists())
    // As it was, with its time: the rows are those of the key.
    replace(input, 1, 2, 3)
    Files.setLastModifiedTime(input, time)
    list(input).write.format("dlcache").save(path)
    assert(ids(path) == Seq(1, 2, 3))
  }

  test("a file that is replaced or removed while it is read is refused, and nothing stays") {
    Seq[LocalPath => Unit](
      input => {
        replace(input, 4, 5, 6)
        Files.setLastModifiedTime(input, FileTime.fromMillis(1000)): Unit
      },
      input => Files.delete(input)
    ).foreach { change =>
      val input = file(1, 2, 3)
      val name = input.toString
      WriteChangedFilesSuite.change = () => change(LocalPath.of(name))
      val changing = udf { (id: Long) =>
        WriteChangedFilesSuite.once()
        id
      }
      val path = newPath()
      refusal("DLCACHE_FILES_CHANGED")(
        list(input).select(changing(col("id")).as("id")).write.format("dlcache").save(path)
      )
      assert(files(path).isEmpty && !store(path).exists())
    }
  }

  test("a catalog table that gets rows while it is read is read again") {
    spark.sql("create table changing (id long, p int) using parquet partitioned by (p)")
    try {
      spark.sql("insert into changing values (1, 1)")
      WriteChangedFilesSuite.change = () => spark.sql("insert into changing values (2, 1)"): Unit
      val changing = udf { (id: Long) =>
        WriteChangedFilesSuite.once()
        id
      }
      val path = newPath()
      def rows() = spark.table("changing").select(changing(col("id")).as("id"))
      rows().write.format("dlcache").save(path)
      assert(ids(path).sorted == Seq(1, 2))
      assert(stages(rows().select("id").write.format("dlcache").mode("ignore").save(path)) == 0)
    } finally spark.sql("drop table changing")
  }

  test("a hit looks at no file: the key is of what the DataFrame has listed") {
    val input = file(1, 2, 3)
    val listed = list(input)
    val path = newPath()
    listed.write.format("dlcache").save(path)
    Files.delete(input)
    assert(stages(listed.write.format("dlcache").save(path)) == 0)
    assert(ids(path) == Seq(1, 2, 3))
  }
}

object WriteChangedFilesSuite {
  @volatile var change: () => Unit = () => ()

  def once(): Unit = synchronized {
    val next = change
    change = () => ()
    // Not the task's own thread: Spark starts no query there.
    val thread = new Thread(() => next())
    thread.start()
    thread.join()
  }
}
