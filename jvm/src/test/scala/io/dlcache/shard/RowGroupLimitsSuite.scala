package io.dlcache.shard

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import org.apache.parquet.hadoop.ParquetFileReader
import org.apache.parquet.hadoop.util.HadoopInputFile
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.catalyst.{CatalystTypeConverters, InternalRow}
import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** Row groups end before anything that is counted in an int outgrows it; here limits are small. */
class RowGroupLimitsSuite extends ShardTest with ScalaCheckPropertyChecks {
  private val columns = Seq(
    "i int",
    "b boolean",
    "s string",
    "y binary",
    "d decimal(30,2)",
    "l array<float>",
    "lb array<boolean>",
    "ll array<array<int>>",
    "lll array<array<array<byte>>>",
    "ls array<string>",
    "lm array<map<int, string>>",
    "m map<int, array<string>>",
    "lz array<struct<p: int, q: array<int>>>",
    "st struct<x: int, in: struct<l: array<double>, ls: array<string>>>"
  )

  private def internal(schema: StructType, rows: Seq[Row]): Iterator[InternalRow] = {
    val convert = CatalystTypeConverters.createToCatalystConverter(schema)
    rows.iterator.map(convert(_).asInstanceOf[InternalRow])
  }

  /** All rows, in as many shards as the writer asks for. */
  private def shards(rows: Iterator[InternalRow], schema: StructType, limits: RowGroupLimits): Seq[Written] = {
    val layout = ShardLayout.of(schema, None)
    val written = Seq.newBuilder[Written]
    while (rows.hasNext) {
      val path = newPath()
      val options = ShardOptions(limits.expected)
      val writer = new ShardWriter(path, spark.sessionState.newHadoopConf(), layout, options, limits)
      while (rows.hasNext && !writer.mustRoll) writer.write(rows.next())
      written += new Written(path, layout, writer.close())
    }
    written.result()
  }

  /** Rows of each row group, and the values of its chunks. */
  private def groups(shard: Written): Seq[(Long, Seq[Long])] = {
    val reader = ParquetFileReader.open(HadoopInputFile.fromPath(shard.path, spark.sessionState.newHadoopConf()))
    try
      reader.getFooter.getBlocks.asScala.toSeq
        .map(block => (block.getRowCount, block.getColumns.asScala.toSeq.map(_.getValueCount)))
    finally reader.close()
  }

  private def collected(data: DataFrame): Iterator[InternalRow] =
    data.queryExecution.toRdd.map(_.copy()).collect().iterator

  test("values, nulls and levels of a row group are bounded by its bytes, whatever the rows") {
    val schemas = Gen.someOf(columns).suchThat(_.nonEmpty).map(some => StructType.fromDDL(some.mkString(", ")))
    val cases = for {
      schema <- schemas
      nulls <- Gen.oneOf(0, 30, 100)
      rows <- Gen.choose(1, 120).flatMap(Gen.listOfN(_, RandomRows.rows(schema, nulls)))
      expected <- Gen.choose(1L, 400L)
      buffered <- Gen.choose(1L, 800L)
      mostRows <- Gen.choose(1, 60)
    } yield (schema, rows, RowGroupLimits(expected, buffered, mostRows, 1 << 20))
    forAll(cases, minSuccessful(60)) { case (schema, rows, limits) =>
      val written = shards(internal(schema, rows), schema, limits)
      // A row of these has at most 5 * 5 * 5 values in a column.
      val most = math.max(limits.expected * 9 / 8, math.min(limits.buffered, 2 * limits.expected)) + 125
      written.flatMap(groups).foreach { case (count, values) =>
        assert(count <= limits.rows)
        values.foreach(value => assert(value <= most))
      }
      val read = written.flatMap(_.read.collect().map(RandomRows.comparable))
      assert(read == rows.map(RandomRows.comparable))
    }
  }

  test("rows of nulls alone fill row groups") {
    val lists = Seq("array<float>", "array<array<int>>", "array<string>", "array<struct<a: int>>", "map<int, string>")
    lists.foreach { dataType =>
      val nulls = dataType match {
        case "map<int, string>" =>
          "transform_values(map_from_arrays(sequence(1, 100), sequence(1, 100)), (k, v) -> null)"
        case _ => "array_repeat(null, 100)"
      }
      val data = spark.range(0, 500, 1, 1).selectExpr(s"cast($nulls as $dataType) as l")
      val written = shards(collected(data), data.schema, RowGroupLimits(1000))
      assert(written.map(_.summary.rows).sum == 500)
      written.flatMap(groups).foreach { case (_, values) => assert(values.max <= 2100, dataType) }
      assert(written.map(_.read.selectExpr("sum(size(l))").head().getLong(0)).sum == 50000)
    }
  }

  test("nulls that alternate with values count by the memory that they take") {
    val data = spark
      .range(0, 20000, 1, 1)
      .selectExpr("if(id % 2 = 0, null, id) a", "transform(sequence(1, 4), x -> if(x % 2 = 0, null, x)) b")
    Seq("a", "b").foreach { name =>
      val one = data.select(name)
      val shard = shards(collected(one), one.schema, RowGroupLimits(32768)).head
      val runs = if (name == "a") shard.summary.rowGroupRows else shard.summary.rowGroupRows * 4
      assert(runs * 8 <= 32768 * 9 / 8 + 200)
    }
  }

  test("a row that no column chunk can hold is an error that names the column") {
    val limits = RowGroupLimits(1000, 2000, 100, 4096)
    Seq(
      "cast(array_repeat(null, 5000) as array<float>)",
      "cast(array_repeat(null, 5000) as array<string>)",
      "cast(array_repeat(null, 5000) as array<array<int>>)",
      "array_repeat(cast(array() as array<int>), 5000)",
      "array_repeat(true, 5000)",
      "array_repeat(1L, 600)",
      "array_repeat('x', 2000)",
      "repeat('x', 5000)"
    ).foreach { value =>
      val data = spark.range(0, 3, 1, 1).selectExpr(s"$value as big")
      val error = intercept[DlcacheException](shards(collected(data), data.schema, limits))
      assert(error.getCondition == "DLCACHE_ROW_GROUP_TOO_LARGE", value)
      assert(error.getMessageParameters.get("column") == "big")
    }
  }

  test("strings that are not valid UTF-8 have no classes, and are read as they were") {
    val data = spark
      .range(0, 5, 1, 1)
      .selectExpr("cast(if(id < 3, X'FF', X'FE') as string) as bytes", "if(id < 3, 'ÿ', 'þ') as text")
    val shard = write(data)
    assert(shard.facts.map(_.statistics.map(_.toString)) == Seq(None, Some("""{"classes":[["þ",2],["ÿ",3]]}""")))
    assert(shard.read.selectExpr("hex(bytes)").collect().map(_.getString(0)).toSeq == Seq("FF", "FF", "FF", "FE", "FE"))
  }
}
