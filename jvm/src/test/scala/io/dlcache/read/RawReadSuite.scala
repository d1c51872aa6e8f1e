package io.dlcache.read

import java.io.RandomAccessFile

import io.dlcache.WriteTest
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.functions.{col, expr}
import org.scalatest.funsuite.AnyFunSuite

/** Batches that are made of the bytes of shards. That they are right for any schema is RoundTripSuite's. */
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
        val some = raw.reverse.map(col)
        assert(read(path).select(some: _*).collect().toSeq == table.select(some: _*).collect().toSeq)
      } finally spark.conf.unset("spark.sql.parquet.columnarReaderBatchSize")
    }
    assert(read(path).select(expr("cast(matrix[2][1] + pair[0] as double)")).collect().forall(_.getDouble(0) == 0))
    assert(read(path).select(raw.map(col): _*).limit(3).collect().toSeq == table.select(raw.map(col): _*).take(3).toSeq)
    assert(read(path).groupBy(expr("1")).agg(expr("count(*)")).collect().toSeq == Seq(Row(1, 1000)))
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
