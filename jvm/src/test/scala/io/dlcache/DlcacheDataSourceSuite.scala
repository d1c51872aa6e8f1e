package io.dlcache

import java.util.UUID

import io.dlcache.error.DlcacheException
import org.apache.spark.sql.Row
import org.apache.spark.sql.functions.{col, udf}
import org.scalatest.funsuite.AnyFunSuite

/** The door, apart from the modes: options, reads, tables, outcomes, session datasets. */
class DlcacheDataSourceSuite extends AnyFunSuite with CatalogTest {

  private def save(rows: Long, options: (String, String)*): String = {
    val path = newPath()
    spark.range(rows).toDF("id").write.format("dlcache").options(options.toMap).save(path)
    path
  }

  test("unknown options and bad values are refused on writes and reads, before anything is written") {
    val path = newPath()
    def writer = spark.range(3).write.format("dlcache")
    refusal("DLCACHE_UNKNOWN_OPTION")(writer.option("dtipe", "float32").save(path))
    refusal("DLCACHE_INVALID_OPTION")(writer.option("shards", "0").save(path))
    Seq("overwrite", "append", "ignore", "errorifexists").foreach { mode =>
      refusal("DLCACHE_PARTITIONING_UNSUPPORTED")(writer.mode(mode).partitionBy("id").save(path))
      refusal("DLCACHE_PARTITIONING_UNSUPPORTED")(writer.mode(mode).clusterBy("id").save(path))
    }
    assert(!new java.io.File(path).exists())
    save(3)
    refusal("DLCACHE_UNKNOWN_OPTION")(spark.read.format("dlcache").option("dtype", "float32").load(save(3)): Unit)
    refusal("DLCACHE_PATH_REQUIRED")(spark.read.format("dlcache").load(): Unit)
    refusal("DLCACHE_INVALID_OPTION")(spark.read.format("dlcache").load(path, path): Unit)
  }

  test("partitions and buckets of tables are refused") {
    Seq("PARTITIONED BY (id)", "CLUSTERED BY (id) INTO 2 BUCKETS", "CLUSTER BY (id)").foreach { clause =>
      refusal("DLCACHE_PARTITIONING_UNSUPPORTED") {
        spark.sql(s"CREATE TABLE parted USING dlcache $clause AS SELECT id FROM range(3)"): Unit
      }
    }
  }

  test("a session's configuration serves writes and reads") {
    spark.conf.set("spark.datasource.dlcache.dtype", "float32")
    try {
      val path = newPath()
      spark.range(3).selectExpr("id", "id * 0.5D AS x").write.format("dlcache").save(path)
      assert(read(path).schema("x").dataType.typeName == "float")
    } finally spark.conf.unset("spark.datasource.dlcache.dtype")
  }

  test("a path without a dataset is refused") {
    refusal("DLCACHE_NOT_A_DATASET")(read(newPath()): Unit)
    val parquet = newPath()
    spark.range(3).write.parquet(parquet)
    refusal("DLCACHE_NOT_A_DATASET")(read(parquet): Unit)
    refusal("DLCACHE_NOT_A_DATASET") {
      spark.sql(s"CREATE TABLE missing USING dlcache LOCATION '${newPath()}'"): Unit
    }
  }

  test("a schema is checked against the dataset") {
    val path = newPath()
    spark.sql("SELECT id, cast(id AS string) AS s FROM range(3)").write.format("dlcache").save(path)
    def declared(ddl: String) = spark.read.format("dlcache").schema(ddl).load(path)
    assert(declared("s STRING, id BIGINT").collect().toSeq == (0L until 3L).map(id => Row(id.toString, id)))
    assert(declared("s STRING").collect().toSeq == Seq(Row("0"), Row("1"), Row("2")))
    Seq("id INT" -> "id", "id BIGINT, t STRING" -> "t").foreach { case (ddl, column) =>
      val e = refusal("DLCACHE_SCHEMA_MISMATCH")(declared(ddl).collect(): Unit)
      assert(e.getMessageParameters.get("column") == column)
    }
  }

  test("a version can be read, and a DataFrame stays with the one it was made from") {
    val path = save(3)
    val before = read(path)
    spark.range(5).toDF("id").write.format("dlcache").mode("overwrite").save(path)
    assert(before.count() == 3 && ids(path).size == 5)
    def version(n: Int) = spark.read.format("dlcache").option("version", n.toLong).load(path)
    assert(version(1).count() == 3 && version(2).collect().length == 5)
    refusal("DLCACHE_VERSION_NOT_FOUND")(version(3): Unit)
  }

  test("a dataset can be overwritten with what is read from it") {
    val path = save(5)
    read(path).where("id > 2").write.format("dlcache").mode("overwrite").save(path)
    assert(ids(path) == Seq(3L, 4L))
  }

  test("a plan over a dataset has a durable key, another one after the dataset has changed") {
    val path = save(5)
    def key() = {
      val target = newPath()
      read(path).selectExpr("id + 1 AS id").write.format("dlcache").save(target)
      current(target).planKey
    }
    val first = key()
    assert(first.scope == "durable" && key() == first)
    spark.range(5, 9).toDF("id").write.format("dlcache").mode("append").save(path)
    assert(key() != first)
  }

  test("SQL tables: created over a dataset, dropped without it, with options and properties") {
    val path = save(3)
    spark.sql(s"CREATE TABLE over USING dlcache LOCATION '$path' TBLPROPERTIES ('mine' = 'yes')")
    assert(spark.sql("SELECT sum(id) FROM over").head().getLong(0) == 3)
    spark.sql("DROP TABLE over")
    assert(ids(path).size == 3)
    refusal("DLCACHE_UNKNOWN_OPTION") {
      spark.sql("CREATE TABLE over USING dlcache OPTIONS (dtipe 'float32') AS SELECT 1 AS a"): Unit
    }
    spark.sql(s"CREATE TABLE over (id STRING) USING dlcache LOCATION '$path'")
    try refusal("DLCACHE_SCHEMA_MISMATCH")(spark.table("over").collect(): Unit)
    finally spark.sql("DROP TABLE over"): Unit
  }

  test("a session without the catalog reads tables and refuses to write to them, and to views in any session") {
    val path = save(3)
    spark.sql(s"CREATE TABLE plain USING dlcache LOCATION '$path'")
    spark.sql(s"CREATE TEMPORARY VIEW seen USING dlcache OPTIONS (path '$path')")
    try {
      withoutCatalog {
        assert(spark.table("plain").count() == 3)
        Seq("INSERT INTO plain VALUES (7)", "INSERT INTO seen VALUES (7)", "TRUNCATE TABLE plain").foreach {
          statement =>
            val e = intercept[Exception](spark.sql(statement))
            assert(e.getMessage.contains("spark.sql.catalog.spark_catalog") || statement.startsWith("TRUNCATE"), e)
        }
        refusal("DLCACHE_CATALOG_REQUIRED") {
          spark.sql(s"CREATE TABLE again USING dlcache LOCATION '$path' AS SELECT id FROM range(5)"): Unit
        }
        assert(!spark.catalog.tableExists("again"))
        val shown = spark.sql("SHOW CREATE TABLE plain").head().getString(0)
        assert(shown.contains("USING dlcache") && shown.contains("LOCATION"))
      }
      refusal("DLCACHE_CATALOG_REQUIRED")(spark.sql("INSERT INTO seen VALUES (7)"): Unit)
      assert(current(path).version == 1)
    } finally {
      spark.sql("DROP TABLE plain")
      spark.catalog.dropTempView("seen"): Unit
    }
  }

  test("columns that differ by case only are read with spark.sql.caseSensitive, which the error names") {
    val path = newPath()
    spark.conf.set("spark.sql.caseSensitive", "true")
    try {
      spark.sql("SELECT 1 AS a, 2 AS A, named_struct('b', 3, 'B', 4) AS s").write.format("dlcache").save(path)
      assert(read(path).select("A").head().getInt(0) == 2)
    } finally spark.conf.unset("spark.sql.caseSensitive")
    val e = refusal("DLCACHE_AMBIGUOUS_COLUMNS")(read(path): Unit)
    assert(e.getMessage.contains("spark.sql.caseSensitive"))
    refusal("DLCACHE_AMBIGUOUS_COLUMNS") {
      spark.read.format("dlcache").schema("s STRUCT<b: INT>").load(path).collect(): Unit
    }
  }

  test("settings of Hadoop reach the file system of one write, of one read and of their tasks") {
    import GuardedFileSystem.{askedInTask, options}
    val path = newPath()
    def write(key: String): Unit = spark.range(3).write.format("dlcache").options(options(key)).save(path)
    def guarded(key: String) = spark.read.format("dlcache").options(options(key)).load(path)
    assert(!intercept[Exception](write("wrong")).getMessage.contains("wrong"))
    write("right")
    assert(askedInTask.contains(true) && askedInTask.contains(false))
    assert(stages(write("right")) == 0)
    askedInTask.clear()
    val rows = guarded("right")
    assert(rows.count() == 3 && rows.where("id > 0").collect().length == 2)
    assert(askedInTask.contains(true) && askedInTask.contains(false))
    assert(!intercept[Exception](guarded("wrong")).getMessage.contains("wrong"))
    assert(spark.read.format("dlcache").options(options("right")).option("history", true).load(path).count() == 1)
    assert(!rows.queryExecution.toString.contains("right"))
    val (copy, same) = (newPath(), newPath())
    rows.write.format("dlcache").save(copy)
    read(path).write.format("dlcache").save(same)
    assert(!current(copy).explanation.get.toString.toLowerCase.contains("secret"))
    assert(current(copy).planKey == current(same).planKey)
  }

  test("a request tells how the write went, without a Spark job") {
    val path = newPath()
    def outcome(request: String): Row = {
      val data = spark.read.format("dlcache").option("request", request).load()
      var rows = Array.empty[Row]
      assert(stages { rows = data.collect() } == 0)
      assert(rows.length == 1)
      rows.head
    }
    def write(mode: String): Row = {
      val request = UUID.randomUUID().toString
      spark.range(7).write.format("dlcache").mode(mode).option("request", request).save(path)
      outcome(request)
    }
    val miss = write("errorifexists")
    val manifest = current(path)
    assert(miss.getAs[String]("path").endsWith(path))
    assert(store(miss.getAs[String]("path")).current().contains(manifest))
    assert(miss.getAs[Long]("version") == 1 && !miss.getAs[Boolean]("hit"))
    assert(miss.getAs[String]("digest") == manifest.planKey.digest && miss.getAs[String]("scope") == "durable")
    assert(miss.getAs[Long]("rows") == 7 && miss.getAs[Long]("bytes") == manifest.bytes)
    assert(miss.getAs[Int]("shards") == manifest.shards.size && miss.getAs[Double]("seconds") > 0)
    assert(write("errorifexists").getAs[Boolean]("hit"))
    assert(write("overwrite").getAs[Long]("version") == 2)
    val e = refusal("DLCACHE_UNKNOWN_REQUEST")(outcome("never"): Unit)
    assert(e.getMessage.contains("never"))
    assert(miss.schema == io.dlcache.write.WriteOutcome.Schema)
  }

  test("a column that cannot be stored is refused before a job runs") {
    val path = newPath()
    val count = stages {
      val e = refusal("DLCACHE_UNSUPPORTED_COLUMN") {
        spark.sql("SELECT id, make_interval(1) AS i FROM range(3)").write.format("dlcache").save(path)
      }
      assert(e.getMessageParameters.get("column") == "i")
    }
    assert(count == 0 && !new java.io.File(path).exists())
  }

  test("a session-keyed dataset below the root hits in its application and goes with it") {
    val root = newPath()
    val plus = udf((id: Long) => id + 1)
    val data = spark.range(3).select(plus(col("id")).as("id"))
    def write(): Unit = data.write.format("dlcache").option("root", root).save()
    write()
    assert(stages(write()) == 0)
    val dataset = new java.io.File(root).listFiles().head.toString
    assert(current(dataset).planKey.scope == "session")
    assert(current(dataset).planKey.applicationId.contains(io.dlcache.spark.ApplicationIdentity.of(spark.sparkContext)))
    val kept = newPath()
    data.write.format("dlcache").save(kept)
    lifecycle.SessionDatasets.end(io.dlcache.spark.ApplicationIdentity.of(spark.sparkContext))
    assert(!store(dataset).exists() && store(kept).exists())
    write()
    assert(store(dataset).exists())
  }

  test("each exception is one of Spark's kind, with a state") {
    val e = intercept[DlcacheException](spark.read.format("dlcache").load())
    assert(e.isInstanceOf[org.apache.spark.SparkThrowable] && e.getSqlState == "42616")
  }
}
