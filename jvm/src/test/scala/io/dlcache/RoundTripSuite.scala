package io.dlcache

import java.nio.file.{Files, Path}
import java.util.{Comparator, UUID}

import io.dlcache.read.RandomData
import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
import org.apache.spark.mllib.linalg.{VectorUDT => OldVectorUDT, Vectors => OldVectors}
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.sql.functions.{col, expr, lit}
import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalatest.BeforeAndAfterAll
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** What is written comes back equal: rows, order and schema. */
class RoundTripSuite extends AnyFunSuite with ScalaCheckPropertyChecks with BeforeAndAfterAll {
  private lazy val spark = SparkSession.builder().getOrCreate()
  private lazy val scratch: Path = Files.createTempDirectory("dlcache-round-trip")

  override protected def beforeAll(): Unit = spark.conf.set("spark.sql.datetime.java8API.enabled", "true")

  override protected def afterAll(): Unit = {
    spark.conf.unset("spark.sql.datetime.java8API.enabled")
    Files.walk(scratch).sorted(Comparator.reverseOrder[Path]()).forEach(path => Files.delete(path))
  }

  private def written(data: DataFrame, options: (String, String)*): String = {
    val path = scratch.resolve(s"set of ${UUID.randomUUID()}").toString
    data.write.format("dlcache").options(options.toMap).save(path)
    path
  }

  private def read(path: String): DataFrame = spark.read.format("dlcache").load(path)

  /** Rows as Spark's own bytes: NaN, -0.0, the order of maps and all nulls count. */
  private def bytes(data: DataFrame): Seq[Seq[Byte]] =
    data.queryExecution.toRdd.map(_.asInstanceOf[UnsafeRow].getBytes.toSeq).collect().toSeq

  private def assertSame(actual: DataFrame, expected: DataFrame): Unit = {
    assert(actual.schema == expected.schema)
    // Equal bytes are equal rows; the rows are only for the message.
    val (found, wanted) = (bytes(actual), bytes(expected))
    if (found != wanted) assert(actual.collect().toSeq == expected.collect().toSeq)
    assert(found == wanted)
    assert(actual.count() == expected.count())
  }

  private val settings: Gen[Map[String, String]] = for {
    compression <- Gen.oneOf("uncompressed", "zstd", "snappy")
    rowGroupBytes <- Gen.oneOf("1k", "32m")
  } yield Map("compression" -> compression, "rowGroupBytes" -> rowGroupBytes)

  test("any rows of any schema, by batch and by row") {
    forAll(RandomData.any, settings, Gen.choose(1, 3), minSuccessful(10)) { (data, options, partitions) =>
      val frame = data.frame(spark).coalesce(partitions)
      val path = written(frame, options.toSeq: _*)
      assertSame(read(path), frame)
      val names = data.schema.fieldNames.toSeq.map(name => s"`${name.replace("`", "``")}`")
      spark.conf.set("spark.sql.parquet.enableVectorizedReader", "false")
      try assert(bytes(read(path).selectExpr(names.reverse: _*)) == bytes(frame.selectExpr(names.reverse: _*)))
      finally spark.conf.unset("spark.sql.parquet.enableVectorizedReader")
      val filter = names.map(name => s"$name is not null").mkString(" and ")
      assert(
        bytes(read(path).where(filter).selectExpr(names.last)) == bytes(frame.where(filter).selectExpr(names.last))
      )
    }
  }

  test("a filter that is pushed down finds what it finds in the DataFrame") {
    val cases = for {
      data <- RandomData.atomic
      column <- Gen.oneOf(data.schema.fieldNames.toSeq)
      bound <- Gen.oneOf(data.rows.map(_.get(data.schema.fieldIndex(column))))
      other <- Gen.oneOf(data.rows.map(_.get(data.schema.fieldIndex(column))))
    } yield (data, column, bound, other)
    forAll(cases, minSuccessful(8)) { case (data, name, bound, other) =>
      val frame = data.frame(spark).coalesce(2)
      val path = written(frame, "rowGroupBytes" -> "128")
      val column = col(s"`${name.replace("`", "``")}`")
      val filters = Seq(
        column <=> lit(bound),
        column > lit(bound),
        column <= lit(bound),
        !(column === lit(bound)),
        column.isNotNull,
        column.isNull,
        column.isin(bound, other),
        column.between(lit(bound), lit(other))
      )
      filters.foreach(filter => assert(bytes(read(path).where(filter)) == bytes(frame.where(filter)), filter))
    }
  }

  test("sparse vectors come back as equal vectors, with nulls and by dtype float32 too") {
    val schema = new StructType().add("id", LongType).add("v", SQLDataTypes.VectorType).add("o", new OldVectorUDT)
    val rows = Seq(
      Row(1L, Vectors.sparse(4, Seq((1, 2.5))), OldVectors.sparse(3, Seq((0, -1.0)))),
      Row(2L, Vectors.dense(1, 0, 0, 0.5), OldVectors.dense(0, 0, 0)),
      Row(3L, null, null),
      Row(4L, Vectors.sparse(4, Nil), OldVectors.dense(1, 2, 3))
    )
    val frame = spark.createDataFrame(spark.sparkContext.parallelize(rows, 2), schema)
    for (data <- Seq(frame, frame.where("id <> 3")); options <- Seq(Nil, Seq("dtype" -> "float32"))) {
      val back = read(written(data, options: _*))
      assert(back.schema == schema)
      assert(back.collect().toSeq == data.collect().toSeq)
    }
  }

  test("numbers that float32 holds survive the cast, and the column is float then") {
    val frame = spark.range(10).selectExpr("cast(id / 4 as double) as d", "array(cast(id as double)) as a")
    val back = read(written(frame, "dtype" -> "float32"))
    assert(back.schema.map(_.dataType) == Seq(FloatType, ArrayType(FloatType, containsNull = false)))
    assert(back.selectExpr("cast(d as double)", "cast(a as array<double>)").collect().toSeq == frame.collect().toSeq)
  }

  test("times of the old calendars keep their instant, whatever a session assumes of files") {
    val frame = spark.sql(
      "select timestamp'1582-10-04 00:00:00' as a, timestamp'0001-01-01 00:00:01.000001' as b, date'1582-10-10' as c, " +
        "timestamp_ntz'1883-11-18 12:03:58' as d, date'0001-01-01' as e"
    )
    val path = written(frame)
    for (mode <- Seq("EXCEPTION", "LEGACY", "CORRECTED")) {
      spark.conf.set("spark.sql.parquet.datetimeRebaseModeInRead", mode)
      try assertSame(read(path), frame)
      finally spark.conf.unset("spark.sql.parquet.datetimeRebaseModeInRead")
    }
  }

  test("a DataFrame without rows, and one with empty partitions") {
    assertSame(
      read(written(spark.range(0).selectExpr("id", "array(id) as a"))),
      spark.range(0).selectExpr("id", "array(id) as a")
    )
    val sparse = spark.range(0, 100, 1, 10).where("id < 5 or id > 95").toDF()
    assertSame(read(written(sparse)), sparse)
  }

  test("a thousand columns") {
    val wide = spark.range(20).selectExpr((0 until 1000).map(i => s"id * $i as `column $i`"): _*)
    val path = written(wide)
    assertSame(read(path), wide)
    assert(bytes(read(path).select("column 999")) == bytes(wide.select("column 999")))
  }

  test("columns are told apart by their paths, whatever their names are when they are joined with dots") {
    val frame = spark
      .range(0, 50, 1, 2)
      .selectExpr(
        "id as `a.b`",
        "if(id % 7 = 0, null, named_struct('b', id + 100, 'b.c', array(float(id)), 'd', named_struct('c', map('k', id)))) as a",
        "concat('x', id) as `a.b.c`",
        "-id as `a.d.c`",
        "double(id) as `p.q`",
        "id * 2.5D as `p.r`",
        "named_struct('q', string(id), 'r', id % 3) as p",
        "named_struct('b.c', id % 5, 'b', named_struct('c', id % 6)) as s"
      )
    for (options <- Seq(Nil, Seq("compression" -> "zstd"), Seq("pack" -> """{"s.b": ["p.q", "p.r"]}"""))) {
      val path = written(frame, options :+ "rowGroupBytes" -> "512": _*)
      assertSame(read(path), frame)
      val columns = Seq("`a.b`", "a.b", "a.`b.c`", "`a.b.c`", "a.d.c", "`a.d.c`", "`p.q`", "p.q", "s.`b.c`", "s.b.c")
      columns.foreach { column =>
        assert(bytes(read(path).selectExpr(column)) == bytes(frame.selectExpr(column)), column)
        val filter = s"$column is not null"
        assert(bytes(read(path).where(filter)) == bytes(frame.where(filter)), filter)
        assert(read(path).agg(expr(s"count($column)")).head() == frame.agg(expr(s"count($column)")).head(), column)
      }
      Seq("`a.b` = 3", "a.b = 103", "`p.q` > 40", "p.q = '7'", "s.b.c = 5", "s.`b.c` = 4").foreach { filter =>
        assert(bytes(read(path).where(filter)) == bytes(frame.where(filter)), filter)
      }
    }
  }

  test("metadata and comments of columns stay") {
    val metadata = new MetadataBuilder().putString("comment", "a \"name\"").putLong("n", 7).build()
    val frame = spark.range(3).select(col("id").as("id", metadata))
    assertSame(read(written(frame)), frame)
  }

  test("an older version can be read") {
    val path = written(spark.range(0, 5, 1, 1).toDF())
    spark.range(5, 8, 1, 1).toDF().write.format("dlcache").mode("append").save(path)
    assertSame(read(path), spark.range(0, 8, 1, 1).toDF())
    def version(n: Long) = spark.read.format("dlcache").option("version", n).load(path)
    assertSame(version(1), spark.range(0, 5, 1, 1).toDF())
    assertSame(version(2), spark.range(0, 8, 1, 1).toDF())
    val error = intercept[io.dlcache.error.DlcacheException](version(3))
    assert(error.getCondition == "DLCACHE_VERSION_NOT_FOUND")
    val none = intercept[io.dlcache.error.DlcacheException](read(scratch.resolve("nothing").toString))
    assert(none.getCondition == "DLCACHE_NOT_A_DATASET")
  }

  test("rows come back in the order in which they were written") {
    val frame = spark.range(0, 20000, 1, 3).selectExpr("id", "repeat(cast(id as string), 3) as s")
    val path = written(frame, "rowGroupBytes" -> "8k", "targetShardBytes" -> "64k")
    for (maxBytes <- Seq("20k", "128m")) {
      spark.conf.set("spark.sql.files.maxPartitionBytes", maxBytes)
      try assert(read(path).select("id").collect().map(_.getLong(0)).toSeq == (0L until 20000L))
      finally spark.conf.unset("spark.sql.files.maxPartitionBytes")
    }
  }
}
