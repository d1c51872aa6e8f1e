package io.dlcache.key

import java.nio.file.{Files, Path}

import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart}
import org.apache.spark.sql.{DataFrame, KeyTestAccess}
import org.apache.spark.sql.functions._

/** The key lists the partitions that the query reads, without a job. */
class PartitionedTableSuite extends KeySuite {

  override protected def beforeAll(): Unit = {
    super.beforeAll()
    spark.range(120).selectExpr("id", "id % 2 as k", "cast(id % 40 as int) as p").coalesce(1)
      .write.partitionBy("p").saveAsTable("parted")
  }

  override protected def afterAll(): Unit = {
    spark.sql("drop table parted")
    super.afterAll()
  }

  private def jobs(body: => Unit): Int = {
    var seen = 0
    val listener = new SparkListener { override def onJobStart(start: SparkListenerJobStart): Unit = seen += 1 }
    KeyTestAccess.drainListeners(spark.sparkContext)
    spark.sparkContext.addSparkListener(listener)
    try {
      body
      KeyTestAccess.drainListeners(spark.sparkContext)
      seen
    } finally spark.sparkContext.removeSparkListener(listener)
  }

  private def filesOf(data: DataFrame): Int = keyOf(data).explanation.get("inputs").get(0).get("files").asInt

  test("a key lists the partitions that the filters leave") {
    val all = spark.table("parted")
    assert(filesOf(all) == 40)
    Seq(
      all.filter("p = 1") -> 1,
      all.filter("p in (1, 2) and k = 0") -> 2,
      all.filter("p + 1 < 4") -> 3,
      all.filter("p = 1").select("id").filter("id > 3") -> 1,
      all.select(col("id"), col("p").as("q")).filter("q = 1") -> 1,
      all.alias("a").join(all.alias("b"), "id").filter("a.p = 1") -> 1,
      all.filter("p = 1 or k = 0") -> 40,
      all.filter("rand(7) < 0.5").filter("p = 1") -> 40,
      all.limit(50).filter("p = 1") -> 40,
      all.filter("p < (select 3)") -> 40,
      spark.sql("select id from (select * from parted) where p = 1") -> 1
    ).foreach { case (data, files) => assert(filesOf(data) == files, data.queryExecution.analyzed) }
    spark.sql("create or replace view part_view as select id, p as q from parted")
    try assert(filesOf(spark.table("part_view").filter("q = 1")) == 1)
    finally spark.sql("drop view part_view")
  }

  test("a table in two places of a plan is listed for each") {
    val all = spark.table("parted")
    val both = all.filter("p = 1").union(all.filter("p = 2"))
    assert(keyOf(both).explanation.get("inputs").size == 2)
    // The same DataFrame, under a filter and without one.
    assert(keyOf(all.filter("p = 1").union(all)).explanation.get("inputs").size == 2)
    assert(durable(both) != durable(all.filter("p = 1").union(all.filter("p = 3"))))
  }

  test("a change in another partition keeps the key, one in a partition that is read changes it") {
    def key() = durable(spark.table("parted").filter("p = 1"))
    val before = key()
    spark.sql("insert into parted partition (p = 2) values (1000, 0)")
    assert(key() == before)
    assert(durable(spark.table("parted").filter("p = 2")) != before)
    spark.sql("insert into parted partition (p = 1) values (1000, 0)")
    assert(key() != before)
  }

  test("a directory of partitions, too, counts by the partitions that are read") {
    val path = scratch.resolve("directory").toString
    spark.range(10).selectExpr("id", "id % 2 as day").write.partitionBy("day").parquet(path)
    def key() = durable(spark.read.parquet(path).filter("day = 1"))
    val before = key()
    Files.createDirectory(Path.of(path, "day=7"))
    Files.copy(dataFiles(s"$path/day=0").head, Path.of(path, "day=7", "part-0.parquet"))
    assert(key() == before)
    Files.copy(dataFiles(s"$path/day=0").head, Path.of(path, "day=1", "part-more.parquet"))
    assert(key() != before)
  }

  test("a key starts no job, also when the table's listing was dropped") {
    val plain = parquet("plain-table")
    spark.sql(s"create table plain_listed using parquet location '$plain'")
    try
      Seq("parted", "plain_listed").foreach { name =>
        durable(spark.table(name))
        spark.catalog.refreshTable(name)
        assert(jobs(durable(spark.table(name))) == 0, name)
        assert(jobs(durable(spark.table(name).filter("id > 3"))) == 0, name)
      }
    finally spark.sql("drop table plain_listed")
    withConf("spark.sql.hive.filesourcePartitionFileCacheSize" -> "0") {
      assert(jobs(durable(spark.table("parted"))) == 0)
    }
  }

  test("rows and files of a pruned table are those that Spark reads") {
    val data = spark.table("parted").filter("p in (3, 4)")
    assert(filesOf(data) == data.inputFiles.length)
    assert(data.select("p").distinct().count() == 2)
  }
}
