package io.dlcache

import java.util.UUID

import org.apache.spark.sql.{AnalysisException, Row}
import org.scalatest.funsuite.AnyFunSuite

/** Tables of dlcache in SQL, with dlcache's catalog. */
class CatalogSuite extends AnyFunSuite with CatalogTest {

  private def sql(text: String) = spark.sql(text)

  private def withTable(body: String => Unit): Unit = {
    val table = s"t_${UUID.randomUUID().toString.replace("-", "")}"
    try body(table)
    finally sql(s"DROP TABLE IF EXISTS $table"): Unit
  }

  private def longs(query: String): Seq[Long] = sql(query).collect().map(_.getLong(0)).toSeq

  /** A table over a dataset of two versions, of three and of five rows. */
  private def withVersions(body: (String, String) => Unit): Unit = withTable { table =>
    val path = newPath()
    sql(s"CREATE TABLE $table USING dlcache LOCATION '$path' AS SELECT id FROM range(3)")
    sql(s"INSERT INTO $table SELECT id FROM range(3, 5)")
    body(table, path)
  }

  test("SHOW CREATE TABLE names the provider, the location and the options, and makes the same table") {
    withTable { table =>
      val path = newPath()
      sql(s"CREATE TABLE $table (id BIGINT, x DOUBLE COMMENT 'half') USING dlcache OPTIONS (dtype 'float32') " +
        s"LOCATION '$path' COMMENT 'mine' TBLPROPERTIES ('a' = 'b')")
      sql(s"INSERT INTO $table VALUES (1, 0.5)")
      val shown = sql(s"SHOW CREATE TABLE $table").head().getString(0)
      Seq("USING dlcache", s"LOCATION 'file:$path'", "'dtype' = 'float32'", "'a' = 'b'", "COMMENT 'mine'").foreach {
        part => assert(shown.contains(part), shown)
      }
      sql(s"DROP TABLE $table")
      sql(shown)
      assert(spark.table(table).collect().toSeq == Seq(Row(1L, 0.5f)))
    }
  }

  test("DESCRIBE EXTENDED says which dataset a table is") {
    withVersions { (table, path) =>
      val shown = sql(s"DESCRIBE EXTENDED $table").collect().map(row => s"${row.getString(0)} ${row.getString(1)}")
      val text = shown.mkString("\n")
      val parts =
        Seq("Provider dlcache", s"Location file:$path", "dlcache.version=2", "dlcache.rows=5", "dlcache.shards=")
      (parts :+ s"dlcache.key=${current(path).planKey.digest} (${current(path).planKey.scope})").foreach { part =>
        assert(text.contains(part), text)
      }
    }
  }

  test("versions are read by number and by time, in SQL and by option") {
    withVersions { (table, path) =>
      val second = store(path).read(2).createdAt
      assert(longs(s"SELECT id FROM $table VERSION AS OF 1") == Seq(0L, 1L, 2L))
      assert(longs(s"SELECT count(*) FROM $table VERSION AS OF 2") == Seq(5L))
      assert(longs(s"SELECT count(*) FROM $table TIMESTAMP AS OF timestamp'$second'") == Seq(5L))
      assert(longs(s"SELECT count(*) FROM $table TIMESTAMP AS OF timestamp'${second.minusMillis(1)}'") == Seq(3L))
      assert(longs(s"SELECT count(*) FROM dlcache.`$path` VERSION AS OF 1") == Seq(3L))
      assert(spark.read.option("versionAsOf", "1").table(table).count() == 3)
      def option(name: String, value: String) = spark.read.format("dlcache").option(name, value).load(path)
      assert(option("versionAsOf", "1").count() == 3 && option("timestampAsOf", second.toString).count() == 5)
      refusal("DLCACHE_VERSION_NOT_FOUND")(sql(s"SELECT * FROM $table VERSION AS OF 3").collect(): Unit)
      refusal("DLCACHE_INVALID_OPTION")(sql(s"SELECT * FROM $table VERSION AS OF 'x'").collect(): Unit)
      val e = refusal("DLCACHE_TIMESTAMP_NOT_FOUND")(option("timestampAsOf", "2001-01-01"): Unit)
      assert(e.getMessage.contains("2001-01-01") && e.getMessage.contains(store(path).read(1).createdAt.toString))
    }
  }

  test("a version that is read by number has that version's columns") {
    withTable { table =>
      val path = newPath()
      spark.range(2).toDF("old").write.format("dlcache").save(path)
      sql(s"CREATE OR REPLACE TABLE $table USING dlcache LOCATION '$path' AS SELECT 'x' AS new")
      assert(sql(s"SELECT * FROM $table VERSION AS OF 1").columns.toSeq == Seq("old"))
      assert(sql(s"SELECT new FROM $table").collect().toSeq == Seq(Row("x")))
    }
  }

  test("the history of a table has a row for each version, and runs no job") {
    withVersions { (table, path) =>
      def row(version: Long) = {
        val manifest = store(path).read(version)
        Row(version, manifest.rows, manifest.shards.size, manifest.planKey.digest)
      }
      val expected = Seq(row(2), row(1))
      Seq(s"$table.history", s"default.$table.history", s"dlcache.`$path`.history").foreach { name =>
        assert(stages(sql(s"SELECT * FROM $name").collect(): Unit) == 0)
        assert(sql(s"SELECT version, rows, shards, key FROM $name").collect().toSeq == expected, name)
      }
      val read = spark.read.format("dlcache").option("history", true).load(path)
      assert(read.selectExpr("version", "rows", "shards", "key").collect().toSeq == expected)
      assert(
        longs(s"SELECT version FROM $table.history WHERE timestamp = '${store(path).read(1).createdAt}'") == Seq(1L)
      )
      intercept[AnalysisException](sql(s"SELECT * FROM no_such_$table.history"))
      refusal("DLCACHE_NOT_A_DATASET")(spark.read.format("dlcache").option(
        "history",
        true
      ).load(newPath()).collect(): Unit)
    }
  }

  test("a table named history is a table") {
    withTable { _ =>
      sql("CREATE TABLE history USING dlcache AS SELECT 7L AS id")
      try assert(longs("SELECT id FROM default.history") == Seq(7L))
      finally sql("DROP TABLE history"): Unit
    }
  }

  test("a path is a table") {
    val path = newPath()
    spark.range(3).toDF("id").write.format("dlcache").save(path)
    assert(longs(s"SELECT id FROM dlcache.`$path` WHERE id > 0") == Seq(1L, 2L))
    sql(s"INSERT INTO dlcache.`$path` VALUES (7)")
    assert(longs(s"SELECT sum(id) FROM dlcache.`file:$path`") == Seq(10L))
    sql(s"DELETE FROM dlcache.`$path`")
    assert(longs(s"SELECT count(*) FROM dlcache.`$path`") == Seq(0L) && current(path).version == 3)
    refusal("DLCACHE_NOT_A_DATASET")(sql(s"SELECT * FROM dlcache.`${newPath()}`"): Unit)
  }

  test("TRUNCATE and DELETE without a condition leave a version without rows") {
    Seq("TRUNCATE TABLE ", "DELETE FROM ").foreach { statement =>
      withVersions { (table, path) =>
        sql(statement + table)
        assert(spark.table(table).count() == 0 && current(path).version == 3)
        assert(longs(s"SELECT count(*) FROM $table VERSION AS OF 2") == Seq(5L))
        sql(s"INSERT INTO $table VALUES (9)")
        assert(longs(s"SELECT id FROM $table") == Seq(9L))
      }
    }
  }

  test("what is not supported is refused before it changes the table") {
    withVersions { (table, path) =>
      Seq(
        s"ALTER TABLE $table ADD COLUMN more INT" -> "ADD COLUMN",
        s"ALTER TABLE $table RENAME COLUMN id TO other" -> "RENAME COLUMN",
        s"ALTER TABLE $table ALTER COLUMN id COMMENT 'x'" -> "UPDATE COLUMN COMMENT",
        s"DELETE FROM $table WHERE id = 1" -> "DELETE with a condition",
        s"UPDATE $table SET id = 1" -> "UPDATE",
        s"MERGE INTO $table t USING (SELECT 1L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE" -> "MERGE"
      ).foreach { case (statement, what) =>
        val e = refusal("DLCACHE_STATEMENT_UNSUPPORTED")(sql(statement): Unit)
        assert(e.getMessage.contains(what), e.getMessage)
      }
      val e = intercept[AnalysisException](sql(s"ANALYZE TABLE $table COMPUTE STATISTICS"))
      assert(e.getMessage.contains("ANALYZE TABLE"))
      refusal("DLCACHE_PARTITIONING_UNSUPPORTED") {
        sql("CREATE TABLE parted (id INT, p INT) USING dlcache PARTITIONED BY (p)"): Unit
      }
      sql(s"ALTER TABLE $table SET TBLPROPERTIES ('a' = 'b')")
      assert(longs(s"SELECT count(*) FROM $table") == Seq(5L) && current(path).version == 2)
    }
  }

  test("a table that is created with columns has no rows, and takes inserts") {
    withTable { table =>
      val columns = "id BIGINT NOT NULL, v ARRAY<FLOAT>, s VARCHAR(3)"
      sql(s"CREATE TABLE $table ($columns) USING dlcache OPTIONS (ifShapeChanges 'allow')")
      assert(spark.table(table).collect().isEmpty && longs(s"SELECT count(*) FROM $table") == Seq(0L))
      sql(s"INSERT INTO $table VALUES (1, array(0.5f, 1f), 'a')")
      sql(s"INSERT INTO $table (s, v, id) VALUES ('b', null, 2)")
      assert(spark.table(table).collect().toSeq == Seq(Row(1L, Seq(0.5f, 1f), "a"), Row(2L, null, "b")))
      intercept[Exception](sql(s"INSERT INTO $table VALUES (3, null, 'long')"))
      intercept[Exception](sql(s"INSERT INTO $table VALUES (null, null, 'c')"))
      assert(longs(s"SELECT count(*) FROM $table") == Seq(2L))
    }
  }

  test("a table that is created over nothing that can be written is not there") {
    val path = newPath()
    spark.range(3).write.parquet(path)
    refusal("DLCACHE_PATH_OCCUPIED")(sql(s"CREATE TABLE nowhere (id INT) USING dlcache LOCATION '$path'"): Unit)
    refusal("DLCACHE_UNSUPPORTED_COLUMN")(sql("CREATE TABLE nowhere (v VARIANT) USING dlcache"): Unit)
    refusal("DLCACHE_PATH_OCCUPIED") {
      sql(s"CREATE TABLE nowhere USING dlcache LOCATION '$path' AS SELECT 1 AS id"): Unit
    }
    assert(!spark.catalog.tableExists("nowhere"))
  }

  test("a table is replaced by a new version if it keeps its columns, also from its own rows") {
    withTable { table =>
      def rows(n: Int) = spark.range(n.toLong).toDF("id").write.format("dlcache").mode("overwrite").saveAsTable(table)
      rows(3)
      rows(5)
      assert(longs(s"SELECT version FROM $table.history") == Seq(2L, 1L))
      sql(s"CREATE OR REPLACE TABLE $table USING dlcache AS SELECT id FROM $table WHERE id > 2")
      assert(longs(s"SELECT id FROM $table") == Seq(3L, 4L))
      intercept[Exception](
        sql(s"CREATE OR REPLACE TABLE $table USING dlcache AS SELECT id / raise_error('x') AS id FROM $table")
      )
      sql(s"CREATE OR REPLACE TABLE $table USING dlcache AS SELECT 'other' AS s")
      assert(spark.table(table).collect().toSeq == Seq(Row("other")))
      sql(s"REPLACE TABLE $table (s STRING) USING dlcache")
      assert(spark.table(table).collect().isEmpty)
    }
  }

  test("the session's default source is known as the provider") {
    val path = newPath()
    spark.range(3).toDF("id").write.format("dlcache").save(path)
    spark.conf.set("spark.sql.sources.default", "dlcache")
    try
      withTable { table =>
        sql(s"CREATE TABLE $table LOCATION '$path' AS SELECT id FROM range(3)")
        assert(current(path).version == 1 && longs(s"SELECT count(*) FROM $table") == Seq(3L))
        sql(s"INSERT INTO $table VALUES (7)")
        assert(current(path).version == 2)
      }
    finally spark.conf.unset("spark.sql.sources.default")
  }

  test("tables of other sources stay what they are") {
    withTable { table =>
      sql(s"CREATE TABLE $table (id INT) USING parquet")
      sql(s"ALTER TABLE $table ADD COLUMN more INT")
      sql(s"INSERT INTO $table VALUES (1, 2)")
      assert(spark.table(table).collect().toSeq == Seq(Row(1, 2)))
      sql(s"ANALYZE TABLE $table COMPUTE STATISTICS")
      sql(s"CREATE OR REPLACE TEMPORARY VIEW v_$table AS SELECT * FROM $table")
      assert(spark.table(s"v_$table").count() == 1)
      spark.catalog.dropTempView(s"v_$table"): Unit
    }
    withTable { table =>
      sql(s"CREATE TABLE $table USING ${classOf[key.VersionedSource].getName} OPTIONS (id 'a', version '1')")
      assert(spark.table(table).collect().toSeq == Seq(Row(0L)))
    }
  }

  test("inserts are matched by position in SQL and by name in DataFrames, and cast as Spark does") {
    withTable { table =>
      sql(s"CREATE TABLE $table (id BIGINT, x FLOAT, s STRING) USING dlcache")
      sql(s"INSERT INTO $table VALUES (1, 0.5, 'a')")
      sql(s"INSERT INTO $table SELECT 2 AS x, 0.25D AS id, 'b' AS y")
      sql("SELECT 'c' AS s, 3L AS id, 0.75F AS x").write.mode("append").format("dlcache").saveAsTable(table)
      sql("SELECT 'd' AS s, 4L AS id, 1F AS x").writeTo(table).append()
      assert(
        spark.table(table).collect().toSeq ==
          Seq(Row(1L, 0.5f, "a"), Row(2L, 0.25f, "b"), Row(3L, 0.75f, "c"), Row(4L, 1f, "d"))
      )
      Seq("SELECT 1", "SELECT 1, 2, 'c', 4", "SELECT 1, true, 'c'", "SELECT array(1), 2, 'c'").foreach { query =>
        intercept[AnalysisException](sql(s"INSERT INTO $table $query"))
      }
      assert(spark.table(table).count() == 4)
    }
  }
}
