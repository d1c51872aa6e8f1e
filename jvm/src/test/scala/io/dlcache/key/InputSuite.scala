package io.dlcache.key

import java.nio.file.{Files, Path}
import java.nio.file.attribute.FileTime

import scala.jdk.CollectionConverters._

import io.dlcache.spark.PlanLeaf
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart}
import org.apache.spark.sql.{DataFrame, KeyTestAccess}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._

/** The state of inputs: every source of files, catalog tables, tables with a version, local data. */
class InputSuite extends KeySuite {

  private val formats: Seq[(String, String => DataFrame)] = Seq(
    "parquet" -> (path => spark.read.parquet(path)),
    "orc" -> (path => spark.read.orc(path)),
    "csv" -> (path => spark.read.option("header", "true").csv(path)),
    "json" -> (path => spark.read.json(path)),
    "text" -> (path => spark.read.text(path)),
    "xml" -> (path => spark.read.option("rowTag", "row").xml(path)),
    "binaryFile" -> (path => spark.read.format("binaryFile").load(path))
  )

  private def write(format: String, path: String): Unit = {
    val data = spark.range(5).selectExpr("cast(id as string) as s").coalesce(1).write
    format match {
      case "csv" => data.option("header", "true").csv(path)
      case "xml" => data.option("rowTag", "row").xml(path)
      case "binaryFile" => data.parquet(path)
      case other => data.format(other).save(path)
    }
  }

  for (
    (format, read) <- formats; reader <- Seq("V1", "V2") if reader == "V1" || format != "binaryFile" && format != "xml"
  )
    test(s"files: $format, read by its $reader source") {
      val path = scratch.resolve(s"$format-$reader").toString
      write(format, path)
      val conf = if (reader == "V2") Seq("spark.sql.sources.useV1SourceList" -> "") else Nil
      withConf(conf: _*) {
        val before = durable(read(path))
        assert(durable(read(path)) == before)
        assert(durable(read(path).limit(2)) != before)
        val file = dataFiles(path).head
        Files.setLastModifiedTime(file, FileTime.fromMillis(Files.getLastModifiedTime(file).toMillis + 5000))
        assert(durable(read(path)) != before)
      }
    }

  test("files: a partitioned directory, with its partition values") {
    val path = scratch.resolve("partitioned").toString
    spark.range(10).selectExpr("id", "id % 2 as day").write.partitionBy("day").parquet(path)
    def read() = spark.read.parquet(path)
    val before = durable(read())
    assert(durable(read()) == before)
    assert(durable(read().filter("day = 1")) != durable(read().filter("day = 0")))
    assert(durable(spark.read.schema("id long, day string").parquet(path)) != before)
    // A rename moves rows to another partition.
    Files.move(Path.of(path, "day=1"), Path.of(path, "day=3"))
    assert(durable(read()) != before)
    Files.move(Path.of(path, "day=3"), Path.of(path, "day=1"))
    assert(durable(read()) == before)
  }

  test("files: several paths and patterns, whatever their order") {
    val (one, two) = (parquet("glob-1"), parquet("glob-2"))
    val both = durable(spark.read.parquet(one, two))
    assert(durable(spark.read.parquet(two, one)) == both)
    assert(durable(spark.read.parquet(scratch.resolve("glob-*").toString)) == both)
    assert(durable(spark.read.parquet(one)) != both)
  }

  test("files: an empty directory") {
    val path = Files.createDirectory(scratch.resolve("empty")).toString
    val read = spark.read.schema("a int").parquet(path)
    assert(durable(read) == durable(spark.read.schema("a int").parquet(path)))
    val input = keyOf(read).explanation.get("inputs").get(0)
    assert(input.get("files").asInt == 0 && input.get("bytes").asLong == 0)
  }

  test("catalog tables, partitioned or not, by their files") {
    spark.sql("create table plain using parquet as select id from range(5)")
    spark.sql("create table parted using parquet partitioned by (k) as select id, id % 2 as k from range(5)")
    try
      Seq("plain" -> "values (7)", "parted" -> "values (7, 1)").foreach { case (name, rows) =>
        val before = durable(spark.table(name))
        assert(durable(spark.sql(s"select * from $name")) == before)
        spark.sql(s"insert into $name $rows")
        assert(durable(spark.table(name)) != before)
      }
    finally Seq("plain", "parted").foreach(name => spark.sql(s"drop table $name"))
  }

  test("tables with an id and a version are durable, others are not") {
    assume(!spark.version.startsWith("4.0"), "tables of Spark 4.0 have no id and version")
    def read(options: (String, String)*) =
      spark.read.format(classOf[VersionedSource].getName).options(options.toMap).load()
    val first = durable(read("id" -> "t", "version" -> "1"))
    assert(durable(read("id" -> "t", "version" -> "1")) == first)
    assert(durable(read("id" -> "t", "version" -> "2")) != first)
    assert(durable(read("id" -> "u", "version" -> "1")) != first)
    assert(durable(read("id" -> "t", "version" -> "1", "branch" -> "b")) != first)
    assert(sessionBecause(read("id" -> "t")) == Set("unversioned-input"))
    assert(sessionBecause(read("version" -> "1")) == Set("unversioned-input"))
    val table = keyOf(read("id" -> "t", "version" -> "1")).explanation.get("inputs").get(0)
    assert(table.get("kind").asText == "table" && table.get("version").asText == "1")
  }

  test("local data is durable for every type, by content") {
    val data = spark.sql(
      """select * from values
        |  (true, 1Y, 2S, 3, 4L, 1.5F, 2.5D, 1.25BD, 'a', X'00FF', date'2024-01-01', timestamp'2024-01-01 00:00:00',
        |   timestamp_ntz'2024-01-01 00:00:00', interval '1' month, interval '2' day, array(1, 2), map('k', 1),
        |   named_struct('x', 1, 'y', array('z')), array(1.5F, 2.5F), null) as t""".stripMargin
    )
    assert(durable(data) == durable(data.select("*")))
    val vectors = spark.createDataFrame(
      Seq(
        Tuple1(org.apache.spark.ml.linalg.Vectors.dense(1, 2)),
        Tuple1(org.apache.spark.ml.linalg.Vectors.sparse(2, Seq(0 -> 1.0)))
      )
    )
    durable(vectors)
    assert(durable(vectors) != durable(spark.createDataFrame(Seq(Tuple1(org.apache.spark.ml.linalg.Vectors.dense(
      1,
      2
    ))))))
  }

  test("results of commands and of transpose are local data") {
    def transposed(rows: Long) = spark.range(rows).selectExpr("cast(id as string) k", "id").transpose()
    assert(durable(transposed(2)) == durable(transposed(2)))
    assert(durable(transposed(2)) != durable(transposed(3)))
    assert(durable(spark.sql("show databases")) == durable(spark.sql("show databases")))
  }

  test("rows are encoded by value, however they are held") {
    val schema = new StructType().add("a", ArrayType(FloatType)).add("b", StringType).add("c", IntegerType)
    val row = InternalRow(
      org.apache.spark.sql.catalyst.util.ArrayData.toArrayData(Array(1f, 2f)),
      org.apache.spark.unsafe.types.UTF8String.fromString("x"),
      null
    )
    val unsafe = org.apache.spark.sql.catalyst.expressions.UnsafeProjection.create(schema).apply(row)
    def digest(row: InternalRow) =
      InputState.local(PlanLeaf.Rows(Seq(row)), schema.map(_.dataType)).map(_.digest)
    assert(digest(row) == digest(unsafe))
    assert(digest(row).isRight)
  }

  test("nothing runs a job") {
    val path = parquet("no-job")
    val data = spark.read.parquet(path)
    var jobs = 0
    val listener = new SparkListener { override def onJobStart(start: SparkListenerJobStart): Unit = jobs += 1 }
    spark.sparkContext.addSparkListener(listener)
    try {
      durable(data.groupBy("k").agg(sum("id")))
      durable(data.filter("id > 1").sample(0.5, 7))
      digest(data.orderBy("id").sample(0.5, 7))
      KeyTestAccess.drainListeners(spark.sparkContext)
      assert(jobs == 0)
      data.count()
      KeyTestAccess.drainListeners(spark.sparkContext)
      assert(jobs > 0)
    } finally spark.sparkContext.removeSparkListener(listener)
  }

  test("ten thousand files") {
    val directory = Files.createDirectory(scratch.resolve("many"))
    (0 until 100).foreach { day =>
      val part = Files.createDirectory(directory.resolve(s"day=$day"))
      (0 until 100).foreach(i => Files.write(part.resolve(f"part-$i%05d.parquet"), Array[Byte](1)))
    }
    val data = spark.read.schema("a int, day int").parquet(directory.toString).filter("a > 3")
    val key = durable(data)
    val times = Seq.fill(5) {
      val start = System.nanoTime()
      assert(durable(data) == key)
      (System.nanoTime() - start) / 1e6
    }
    info(f"a key over 10,000 files: ${times.min}%.1f ms at best, ${times.max}%.1f ms at worst of ${times.length}")
    val input = keyOf(data).explanation.get("inputs").get(0)
    assert(input.get("files").asInt == 10000)
    assert(input.get("list").size == Explanation.ListedFiles)
  }

  test("explanations name the files") {
    val path = parquet("named")
    val input = keyOf(spark.read.parquet(path)).explanation.get("inputs").get(0)
    val file = dataFiles(path).head
    val listed = input.get("list").elements().asScala.toSeq
    assert(listed.map(_.get(0).asText) == Seq(file.getFileName.toString))
    assert(input.get("base").asText.endsWith("/named/"))
    assert(listed.head.get(1).asLong == Files.size(file))
    assert(listed.head.get(2).asLong == Files.getLastModifiedTime(file).toMillis)
  }

  test("the common directory of paths") {
    assert(Explanation.commonDirectory(Seq("file:/a/b/x", "file:/a/b/y")) == "file:/a/b/")
    assert(Explanation.commonDirectory(Seq("file:/a/b/x", "file:/a/bc/y")) == "file:/a/")
    assert(Explanation.commonDirectory(Seq("file:/a/b/x")) == "file:/a/b/")
    assert(Explanation.commonDirectory(Seq("file:/a/b/x", "s3a://c/d")) == "")
    assert(Explanation.commonDirectory(Nil) == "")
  }
}
