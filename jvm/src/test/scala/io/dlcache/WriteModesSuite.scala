package io.dlcache

import java.util.UUID

import org.apache.spark.sql.{AnalysisException, DataFrame, Row, SaveMode}
import org.scalatest.funsuite.AnyFunSuite

/** The table of modes through every way in. What a cell did is told by the versions of the dataset and by Spark's stages. */
class WriteModesSuite extends AnyFunSuite with CatalogTest {

  private def rows(n: Long): DataFrame = spark.range(n).toDF("id")

  /** What became of a dataset that had `before` versions. */
  private sealed trait Effect
  private case object Built extends Effect
  private case object Hit extends Effect
  private case object Left extends Effect
  private case object Rebuilt extends Effect
  private case object Appended extends Effect

  private def assertEffect(path: String, effect: Effect, before: Seq[Long], write: => Unit): Unit = {
    val old = store(path).current()
    val count = stages(write)
    val now = current(path)
    val first = old.fold(Seq.empty[Long])(_ => before)
    effect match {
      case Built =>
        assert(old.isEmpty && now.version == 1 && count > 0)
      case Hit | Left =>
        assert(count == 0)
        assert(now == old.get)
      case Rebuilt =>
        assert(count > 0 && now.version == old.get.version + 1 && now.datasetId != old.get.datasetId)
        assert(now.shards.map(_.path).toSet.intersect(old.get.shards.map(_.path).toSet).isEmpty)
      case Appended =>
        assert(count > 0 && now.version == old.get.version + 1 && now.datasetId == old.get.datasetId)
        assert(now.shards.take(old.get.shards.size) == old.get.shards)
        assert(ids(path) == first ++ ids(path).drop(first.size))
    }
    assert(files(path) == namedFiles(path))
  }

  private val five = Seq(0L, 1L, 2L, 3L, 4L)

  /** One cell: something there or not, then a write of five rows. */
  private def cell(there: Option[Long], effect: Effect)(write: String => Unit): String = {
    val path = newPath()
    there.foreach(n => rows(n).write.format("dlcache").save(path))
    assertEffect(path, effect, there.toSeq.flatMap(n => 0L until n), write(path))
    val expected = effect match {
      case Left => 0L until there.get
      case Appended => (0L until there.get) ++ five
      case _ => five
    }
    assert(ids(path) == expected)
    path
  }

  private def saving(mode: SaveMode)(path: String): Unit = rows(5).write.format("dlcache").mode(mode).save(path)

  private def refused(there: Long)(write: String => Unit): Unit = {
    val path = newPath()
    rows(there).write.format("dlcache").save(path)
    val before = current(path)
    val e = refusal("DLCACHE_KEY_MISMATCH")(write(path))
    assert(e.getMessage.contains(before.planKey.digest))
    assert(e.getMessageParameters.get("given") != e.getMessageParameters.get("existing"))
    Seq("overwrite", "append", "another path").foreach(way => assert(e.getMessage.contains(way)))
    assert(current(path) == before)
    assert(files(path) == namedFiles(path))
  }

  test("save(path): nothing there") {
    SaveMode.values.foreach(mode => cell(None, Built)(saving(mode)))
  }

  test("save(path): the same plan key there") {
    cell(Some(5), Hit)(saving(SaveMode.ErrorIfExists))
    cell(Some(5), Hit)(saving(SaveMode.Ignore))
    cell(Some(5), Rebuilt)(saving(SaveMode.Overwrite))
    val path = newPath()
    rows(5).write.format("dlcache").save(path)
    refusal("DLCACHE_ALREADY_APPENDED")(saving(SaveMode.Append)(path))
  }

  test("save(path): another key there") {
    refused(3)(saving(SaveMode.ErrorIfExists))
    cell(Some(3), Left)(saving(SaveMode.Ignore))
    cell(Some(3), Rebuilt)(saving(SaveMode.Overwrite))
    cell(Some(3), Appended)(saving(SaveMode.Append))
  }

  test("save(): below the root, named by the key") {
    Seq(SaveMode.ErrorIfExists, SaveMode.Ignore, SaveMode.Overwrite).foreach { mode =>
      val root = newPath()
      def write(): Unit = rows(5).write.format("dlcache").option("root", root).mode(mode).save()
      val digest = io.dlcache.key.PlanKey.of(rows(5), conf.WriteConf.of(Map.empty, Map.empty).writeOptions, None).digest
      val path = s"$root/$digest"
      assertEffect(path, Built, Nil, write())
      assertEffect(path, if (mode == SaveMode.Overwrite) Rebuilt else Hit, five, write())
      assert(ids(path) == five)
      assert(current(path).planKey.scope == "durable")
    }
  }

  test("save(): append needs a path") {
    refusal("DLCACHE_APPEND_WITHOUT_PATH") {
      rows(5).write.format("dlcache").option("root", newPath()).mode("append").save()
    }
  }

  test("save(): the root comes from the session's configuration") {
    val root = newPath()
    spark.conf.set("spark.datasource.dlcache.root", root)
    try rows(5).write.format("dlcache").save()
    finally spark.conf.unset("spark.datasource.dlcache.root")
    assert(new java.io.File(root).list().length == 1)
  }

  private def newTable(): String = s"t_${UUID.randomUUID().toString.replace("-", "")}"

  private def withTable(body: String => Unit): Unit = {
    val table = newTable()
    try body(table)
    finally spark.sql(s"DROP TABLE IF EXISTS $table"): Unit
  }

  private def savingTable(mode: SaveMode)(path: String): Unit = withTable { table =>
    rows(5).write.format("dlcache").mode(mode).option("path", path).saveAsTable(table)
    assert(spark.table(table).as[Long](org.apache.spark.sql.Encoders.scalaLong).collect().toSeq == ids(path))
  }

  test("saveAsTable, no such table: nothing there") {
    SaveMode.values.foreach(mode => cell(None, Built)(savingTableUnread(mode)))
  }

  /** Reading the table back would run stages. */
  private def savingTableUnread(mode: SaveMode)(path: String): Unit = withTable { table =>
    rows(5).write.format("dlcache").mode(mode).option("path", path).saveAsTable(table)
  }

  test("saveAsTable, no such table: the same plan key there") {
    cell(Some(5), Hit)(savingTableUnread(SaveMode.ErrorIfExists))
    cell(Some(5), Hit)(savingTableUnread(SaveMode.Ignore))
    cell(Some(5), Rebuilt)(savingTableUnread(SaveMode.Overwrite))
    // Spark creates the table in this mode too: as by default.
    cell(Some(5), Hit)(savingTableUnread(SaveMode.Append))
  }

  test("saveAsTable, no such table: another key there") {
    refused(3)(savingTableUnread(SaveMode.ErrorIfExists))
    // Spark creates the table in these modes too.
    refused(3)(savingTableUnread(SaveMode.Ignore))
    cell(Some(3), Rebuilt)(savingTableUnread(SaveMode.Overwrite))
    refused(3)(savingTableUnread(SaveMode.Append))
  }

  test("saveAsTable: the table reads as the dataset") {
    SaveMode.values.foreach(mode => savingTable(mode)(newPath()))
  }

  /** A table over a dataset of `there` rows, written to by `write(table)`. */
  private def tableCell(there: Long, effect: Effect)(write: (String, String) => Unit): Unit =
    cell(Some(there), effect) { path =>
      withTable { table =>
        spark.sql(s"CREATE TABLE $table USING dlcache LOCATION '$path'")
        write(table, path)
      }
    }: Unit

  private def intoTable(mode: SaveMode)(table: String, path: String): Unit =
    rows(5).write.format("dlcache").mode(mode).option("path", path).saveAsTable(table)

  test("saveAsTable over a table") {
    Seq(3L, 5L).foreach { there =>
      tableCell(there, Left)(intoTable(SaveMode.Ignore))
      tableCell(there, Rebuilt)(intoTable(SaveMode.Overwrite))
      tableCell(there, Appended)((table, _) => rows(5).write.format("dlcache").mode("append").saveAsTable(table))
      tableCell(there, Left) { (table, path) =>
        val e = intercept[AnalysisException](intoTable(SaveMode.ErrorIfExists)(table, path))
        assert(e.getCondition == "TABLE_OR_VIEW_ALREADY_EXISTS")
      }
    }
  }

  test("saveAsTable replaces a table by one of other columns") {
    val path = newPath()
    withTable { table =>
      def write(data: DataFrame, options: (String, String)*): Unit =
        data.write.format("dlcache").mode("overwrite").options(options.toMap + ("path" -> path)).saveAsTable(table)
      write(rows(3))
      write(spark.sql("SELECT 'a' AS s, 0.5D AS x"), "dtype" -> "float32")
      assert(spark.table(table).collect().toSeq == Seq(Row("a", 0.5f)))
      assert(current(path).version == 2 && current(path).rows == 1)
    }
  }

  private def creating(how: String)(path: String): Unit = withTable { table =>
    spark.sql(s"$how $table USING dlcache LOCATION '$path' AS SELECT id FROM range(5)"): Unit
  }

  test("CREATE TABLE AS SELECT: nothing, the same and another key there") {
    val same = newPath()
    cell(None, Built)(creating("CREATE TABLE"))
    cell(None, Built)(creating("CREATE TABLE IF NOT EXISTS"))
    creating("CREATE TABLE")(same)
    assertEffect(same, Hit, five, creating("CREATE TABLE")(same))
    assertEffect(same, Hit, five, creating("CREATE TABLE IF NOT EXISTS")(same))
    refused(3)(creating("CREATE TABLE"))
    refused(3)(creating("CREATE TABLE IF NOT EXISTS"))
  }

  test("CREATE TABLE AS SELECT of a managed table, and of one that is there") {
    spark.sql(s"CREATE DATABASE modes LOCATION '${newPath()}'")
    try {
      spark.sql("CREATE TABLE modes.t USING dlcache OPTIONS (dtype 'float32') AS SELECT id, 0.5D AS x FROM range(5)")
      assert(spark.table("modes.t").collect().toSeq == five.map(id => Row(id, 0.5f)))
      spark.sql("INSERT INTO modes.t SELECT id, 0.25D FROM range(2)")
      assert(spark.table("modes.t").count() == 7)
      assert(stages(spark.sql("CREATE TABLE IF NOT EXISTS modes.t USING dlcache AS SELECT 1"): Unit) == 0)
    } finally spark.sql("DROP DATABASE modes CASCADE"): Unit
  }

  test("INSERT INTO and INSERT OVERWRITE: no rows, the same and another key there") {
    Seq("INTO", "OVERWRITE").foreach { how =>
      def insert(table: String): Unit = spark.sql(s"INSERT $how $table SELECT id FROM range(5)"): Unit
      Seq(0L, 3L, 5L).foreach(there =>
        tableCell(there, if (how == "INTO") Appended else Rebuilt)((table, _) => insert(table))
      )
    }
  }

  test("insertInto appends or overwrites by position") {
    tableCell(3, Appended)((table, _) => rows(5).toDF("other").write.insertInto(table))
    tableCell(3, Rebuilt)((table, _) => rows(5).toDF("other").write.mode("overwrite").insertInto(table))
  }

  test("a write to a path that holds something else is refused") {
    val path = newPath()
    rows(3).write.parquet(path)
    SaveMode.values.foreach(mode => refusal("DLCACHE_PATH_OCCUPIED")(saving(mode)(path)))
    val file = scratch.resolve("a file")
    java.nio.file.Files.writeString(file, "text")
    refusal("DLCACHE_PATH_OCCUPIED")(saving(SaveMode.Overwrite)(file.toString)): Unit
  }
}
