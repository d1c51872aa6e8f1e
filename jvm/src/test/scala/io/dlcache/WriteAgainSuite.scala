package io.dlcache

import java.nio.file.{Files, Paths}
import java.util.UUID

import io.dlcache.conf.WriteConf
import io.dlcache.key.PlanKey
import io.dlcache.manifest.PlanKeyEntry
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{col, expr, udf}
import org.scalatest.funsuite.AnyFunSuite

/** A job that runs again, and rows that do not fit those that are there. */
class WriteAgainSuite extends AnyFunSuite with CatalogTest {

  private def day(n: Long): DataFrame = spark.range(n * 10, n * 10 + 10, 1, 1).toDF("id")

  private def sql(text: String): DataFrame = spark.sql(text)

  private def withTable(body: String => Unit): Unit = {
    val table = s"t_${UUID.randomUUID().toString.replace("-", "")}"
    try body(table)
    finally sql(s"DROP TABLE IF EXISTS $table"): Unit
  }

  private def append(path: String, data: DataFrame, options: (String, String)*): Unit =
    data.write.format("dlcache").mode("append").options(options.toMap).save(path)

  test("an append of rows that the dataset has is refused before a job, whichever write added them") {
    val path = newPath()
    day(0).write.format("dlcache").save(path)
    Seq(1L, 2L, 3L).foreach(n => append(path, day(n)))
    val before = current(path)
    Seq(0L, 1L, 2L, 3L).foreach { n =>
      val count = stages {
        val e = refusal("DLCACHE_ALREADY_APPENDED")(append(path, day(n)))
        assert(e.getMessage.contains("ifAppended") && e.getMessage.contains("if_appended"))
      }
      assert(count == 0)
    }
    assert(current(path) == before && files(path) == namedFiles(path) && ids(path) == (0L until 40L))
    append(path, day(4))
    assert(ids(path) == (0L until 50L))
  }

  test("a retried append can be left out, or made") {
    val path = newPath()
    Seq(0L, 1L).foreach(n => append(path, day(n), "ifAppended" -> "skip"))
    val before = current(path)
    assert(stages(append(path, day(1), "ifAppended" -> "skip")) == 0)
    assert(current(path) == before)
    append(path, day(1), "ifAppended" -> "append")
    assert(ids(path) == (0L until 20L) ++ (10L until 20L))
    assert(current(path).keys == before.keys)
  }

  test("what an overwrite has removed can be appended again") {
    val path = newPath()
    Seq(0L, 1L).foreach(n => append(path, day(n)))
    day(2).write.format("dlcache").mode("overwrite").save(path)
    append(path, day(0))
    assert(ids(path) == (20L until 30L) ++ (0L until 10L))
    refusal("DLCACHE_ALREADY_APPENDED")(append(path, day(2)))
  }

  test("no rows can be appended as often as one likes") {
    val path = newPath()
    val none = spark.range(5).where("id < 0").toDF("id")
    (1 to 3).foreach(_ => append(path, none))
    append(path, day(0))
    append(path, none)
    assert(ids(path) == (0L until 10L) && current(path).version == 5)
  }

  test("your own key names the rows: another append needs another key") {
    val path = newPath()
    append(path, day(0), "key" -> "a")
    refusal("DLCACHE_ALREADY_APPENDED")(append(path, day(1), "key" -> "a"))
    append(path, day(1), "key" -> "b")
    assert(ids(path) == (0L until 20L))
  }

  test("of two appends of one key at once one is refused, and leaves nothing") {
    val path = newPath()
    append(path, day(0))
    val late = udf { (id: Long) =>
      WriteAgainSuite.once()
      id
    }
    val slow = day(1).select(late(col("id")).as("id"))
    val key = PlanKey.of(slow, WriteConf.of(Map.empty, Map.empty).writeOptions, Some("k"))
    // While the rows of the slower one are computed, the faster one publishes.
    WriteAgainSuite.act = () => {
      val there = current(path)
      val keys = there.keys :+ PlanKeyEntry(key.scope, key.digest, key.applicationId)
      assert(store(path).publish(there.copy(version = 2, writtenKeys = keys)))
    }
    refusal("DLCACHE_ALREADY_APPENDED")(append(path, slow, "key" -> "k"))
    assert(current(path).version == 2 && files(path) == namedFiles(path))
  }

  test("a dataset that an old dlcache has appended to takes what it does not know") {
    val path = newPath()
    Seq(0L, 1L).foreach(n => append(path, day(n)))
    val manifest = Paths.get(store(path).manifestPath(2).toUri.getPath)
    val text = Files.readString(manifest)
    val old = text.replaceFirst("\"written-keys\":.*\n", "").replaceFirst(",\n\"sha256\":\"[0-9a-f]{64}\"\n", "\n")
    assert(old.length < text.length - 200)
    Files.writeString(manifest, old)
    append(path, day(2))
    refusal("DLCACHE_ALREADY_APPENDED")(append(path, day(2)))
    append(path, day(1))
    assert(ids(path) == (0L until 30L) ++ (10L until 20L))
  }

  test("an INSERT that is run again inserts again, as into any table, unless the session says otherwise") {
    withTable { table =>
      sql(s"CREATE TABLE $table (id BIGINT) USING dlcache")
      (1 to 2).foreach(_ => sql(s"INSERT INTO $table VALUES (7)"))
      assert(spark.table(table).count() == 2)
      spark.conf.set("spark.datasource.dlcache.ifAppended", "skip")
      try sql(s"INSERT INTO $table VALUES (7)"): Unit
      finally spark.conf.unset("spark.datasource.dlcache.ifAppended")
      assert(spark.table(table).count() == 2)
    }
  }

  test("the same rows with other options: the error names the options, both values, and how to hit") {
    val path = newPath()
    val data = spark.range(3).selectExpr("id", "double(id) AS x")
    data.write.format("dlcache").save(path)
    val e = refusal("DLCACHE_KEY_MISMATCH") {
      data.write.format("dlcache").option("dtype", "float32").option("shards", 2).save(path)
    }
    Seq(
      "`dtype` is 'source' there and 'float32' here",
      "in Python dtype=None",
      "`shards` is not set there and '2' here"
    )
      .foreach(part => assert(e.getMessage.contains(part), e.getMessage))
    assert(!e.getMessage.contains("another plan"))
    val other = refusal("DLCACHE_KEY_MISMATCH") {
      data.where("id > 0").write.format("dlcache").option("dtype", "float32").save(path)
    }
    assert(other.getMessage.contains("from another plan"))
  }

  test("rows of another shape, or without one, are refused unless it is allowed") {
    def arrays(text: String) = spark.range(2).select(expr(s"$text AS v"))
    val cases = Seq(
      ("array(1f, 2f)", "array(3f)", "[2]"),
      ("array(1f, 2f)", "if(id = 0, null, array(3f, 4f))", "[2]"),
      ("array(1f, 2f)", "array(3f, if(id = 0, null, 4f))", "[2]"),
      ("array(array(1, 2))", "array(array(1, 2), array(3, 4))", "[1, 2]")
    )
    cases.foreach { case (there, added, shape) =>
      val path = newPath()
      append(path, arrays(there))
      val before = current(path)
      val e = refusal("DLCACHE_COLUMNS_MISMATCH")(append(path, arrays(added)))
      assert(e.getMessageParameters.get("column") == "v")
      assert(e.getMessage.contains(shape) && e.getMessage.contains("ifShapeChanges"))
      assert(current(path) == before && files(path) == namedFiles(path))
      append(path, arrays(added), "ifShapeChanges" -> "allow")
      assert(current(path).rows == 4)
    }
    val ragged = newPath()
    append(ragged, arrays("if(id = 0, array(1f), array(1f, 2f))"))
    append(ragged, arrays("array(1f, 2f, 3f)"))
    assert(current(ragged).columns.head.lengths.contains((1, 3)))
    withTable { table =>
      sql(s"CREATE TABLE $table (v ARRAY<FLOAT>) USING dlcache")
      sql(s"INSERT INTO $table VALUES (array(1f, 2f))")
      refusal("DLCACHE_COLUMNS_MISMATCH")(sql(s"INSERT INTO $table VALUES (array(1f))"): Unit)
      assert(spark.table(table).count() == 1)
    }
  }
}

/** Tasks and test run in one JVM; a task finds its act by name, since it is not serializable. */
object WriteAgainSuite {
  @volatile var act: () => Unit = () => ()

  def once(): Unit = synchronized {
    val now = act
    act = () => ()
    now()
  }
}
