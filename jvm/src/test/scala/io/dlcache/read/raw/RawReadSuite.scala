package io.dlcache.read.raw

import java.io.RandomAccessFile

import io.dlcache.WriteTest
import io.dlcache.read.ReadSchema
import org.apache.spark.ml.functions.array_to_vector
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.functions.{col, expr}
import org.scalatest.funsuite.AnyFunSuite

/** Batches and rows that are made of the bytes of shards. That they are right for any schema is RoundTripSuite's. */
class RawReadSuite extends AnyFunSuite with WriteTest {

  private val table = spark
    .range(0, 1000, 1, 3)
    .selectExpr(
      "id",
      "cast(id % 200 - 100 as byte) as small",
      "id % 3 = 0 as flag",
      "cast(id / 100 as decimal(9, 2)) as price",
      "concat('n', id) as name",
      "if(id % 3 = 0, null, concat('n', id)) as some",
      "cast(concat('n', id) as binary) as bytes",
      "if(id = 5, null, id) as holes",
      "array(cast(id as float), -1f) as pair",
      "array(array(id, 1L), array(2L, 3L), array(4L, -id)) as matrix",
      "sequence(0, cast(id % 4 as int)) as list",
      "date_from_unix_date(cast(id as int)) as day",
      "struct(id as inner) as struct"
    )

  private def write(data: DataFrame, options: (String, String)*): String = {
    val path = newPath()
    data.write.format("dlcache").options(options.toMap).save(path)
    path
  }

  private def isRaw(path: String, names: String*): Boolean = {
    val manifest = current(path)
    RawColumns.of(ReadSchema.stored(ReadSchema.of(manifest)(names.toSet), manifest), manifest).isDefined
  }

  private val arrays = Seq("pair", "matrix", "list")

  test("columns that are raw in all shards are read so, with any others Parquet's reader reads") {
    val path = write(table, "rowGroupBytes" -> "4k")
    val raw =
      Seq("id", "small", "flag", "price", "name", "some", "bytes", "pair", "matrix", "list", "day")
    assert(isRaw(path, raw: _*))
    assert(!isRaw(path, "id", "holes") && !isRaw(path, "struct"))
    assert(!isRaw(write(table.select("id"), "compression" -> "zstd"), "id"))
    for (rows <- Seq("1", "7", "4096")) {
      spark.conf.set("spark.sql.parquet.columnarReaderBatchSize", rows)
      try {
        assert(read(path).collect().toSeq == table.collect().toSeq)
        for (names <- Seq(raw, raw.diff(arrays))) {
          val some = names.reverse.map(col)
          assert(read(path).select(some: _*).collect().toSeq == table.select(some: _*).collect().toSeq)
        }
      } finally spark.conf.unset("spark.sql.parquet.columnarReaderBatchSize")
    }
    assert(read(path).select(expr("cast(matrix[2][1] + pair[0] as double)")).collect().forall(_.getDouble(0) == 0))
    assert(read(path).select(raw.map(col): _*).limit(3).collect().toSeq == table.select(raw.map(col): _*).take(3).toSeq)
    assert(read(path).groupBy(expr("1")).agg(expr("count(*)")).collect().toSeq == Seq(Row(1, 1000)))
  }

  test("arrays are read by row, all else by batch") {
    val path = write(table)
    def isByBatch(names: String*) =
      read(path).select(names.map(col): _*).queryExecution.executedPlan.toString.contains("ColumnarToRow")
    assert(isByBatch("id", "name"))
    assert(arrays.forall(name => !isByBatch("id", name)))
  }

  test("arrays of each type of numbers, of one length and of many, of one dimension and of three") {
    val types =
      Seq("byte", "short", "int", "long", "float", "double", "decimal(9, 2)", "decimal(18, 3)", "date", "timestamp")
    val columns = types.zipWithIndex.flatMap { case (name, i) =>
      def value(x: String) = if (name == "date") s"date_from_unix_date(cast($x as int))" else s"cast($x as $name)"
      val three = s"array(${value("-id % 100")}, ${value("id % 100")}, ${value("7")})"
      Seq(
        expr(three).as(s"one$i"),
        expr(s"array(array($three, $three), array($three, reverse($three)))").as(s"cube$i"),
        expr(s"transform(sequence(0, cast(id % 5 as int)), x -> ${value("x - id % 50")})").as(s"list$i")
      )
    }
    val data = spark.range(0, 300, 1, 2).select(columns: _*)
    val path = write(data, "rowGroupBytes" -> "16k")
    assert(isRaw(path, data.columns.toSeq: _*))
    assert(read(path).collect().toSeq == data.collect().toSeq)
    for (column <- Seq("one0", "list1", "cube4")) {
      // Spark compares arrays byte for byte here: what fills them up must be zeros.
      val both = read(path).select(column).union(data.select(column))
      assert(both.distinct().count() == data.select(column).distinct().count(), column)
    }
  }

  test("vectors, and packed columns beside arrays") {
    val data = spark
      .range(0, 300, 1, 2)
      .selectExpr(
        "id",
        "cast(id as float) as a",
        "-cast(id as float) as b",
        "array(cast(id as double), 2d, 3d) as list"
      )
      .withColumn("dense", array_to_vector(col("list")))
      .withColumn("ragged", array_to_vector(expr("slice(list, 1, 1 + cast(id % 3 as int))")))
    for (dtype <- Seq("float32", "float64")) {
      val path = write(data, "dtype" -> dtype, "pack" -> """{"x": ["a", "b"]}""")
      val rows = read(path).select("ragged", "b", "dense", "id", "a").collect().toSeq
      val float = if (dtype == "float32") "float" else "double"
      val expected = data.select(col("ragged"), col("b").cast(float), col("dense"), col("id"), col("a").cast(float))
      assert(rows == expected.collect().toSeq)
      assert(isRaw(path, "dense", "ragged", "a", "id"))
    }
  }

  test("a row index that leads elsewhere is an error, not a read of other memory") {
    for (column <- Seq("name", "some", "list"); value <- Seq(-1, 1 << 28, Int.MinValue)) {
      val path = write(table.select(column).coalesce(1))
      val shard = current(path).shards.head
      val file = new RandomAccessFile(s"$path/${shard.path}", "rw")
      try {
        file.seek(shard.chunks.head.get.head.indexOffset + 4 * 500)
        file.writeInt(Integer.reverseBytes(value))
      } finally file.close()
      val messages = Iterator
        .iterate[Throwable](intercept[Exception](read(path).collect()))(_.getCause)
        .takeWhile(_ != null)
        .map(_.getMessage)
        .toSeq
      assert(messages.exists(m => m != null && m.contains("DLCACHE_SHARD_DAMAGED")), messages)
    }
  }
}
