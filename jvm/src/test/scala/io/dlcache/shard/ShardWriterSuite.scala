package io.dlcache.shard

import org.apache.spark.ml.linalg.Vectors
import org.apache.spark.sql.functions._

class ShardWriterSuite extends ShardTest {

  test("what is written is read back, and lies where the summary says") {
    val session = spark
    import session.implicits._
    val data = spark
      .range(0, 1000, 1, 1)
      .select(
        $"id",
        ($"id" % 7).cast("int").as("label"),
        when($"id" % 5 =!= 0, $"id".cast("double")).as("sparse"),
        transform(sequence(lit(0), lit(15)), x => (x + $"id").cast("float")).as("x"),
        transform(sequence(lit(0), ($"id" % 5).cast("int")), x => x + $"id").as("tokens"),
        concat(lit("row "), $"id").as("text"),
        when($"id" % 3 =!= 0, encode($"id".cast("string"), "UTF-8")).as("bytes"),
        ($"id" % 2 === 0).as("flag"),
        struct($"id".as("a"), struct(lit(1.5).as("c"), map($"id", lit("v")).as("m")).as("b")).as("s"),
        array(lit("a"), lit(null)).as("texts")
      )
    val shard = write(data, None, ShardOptions(50000))
    assert(shard.read.collect().toSeq == data.collect().toSeq)
    assert(spark.read.parquet(shard.path.toString).collect().toSeq == data.collect().toSeq)
    assert(shard.crc32 == shard.summary.crc32)
    assert(shard.bytes.length == shard.summary.bytes)
    assert(shard.rowGroupSizes.size > 2)
  }

  test("vectors are arrays") {
    val session = spark
    import session.implicits._
    val data = Seq(Vectors.dense(1, 2, 3), Vectors.sparse(3, Array(1), Array(5.0))).map(Tuple1(_)).toDF("v")
    val shard = write(data, Some(FloatDtype.Float32), ShardOptions(50000))
    assert(shard.read.as[Seq[Float]].collect().toSeq == Seq(Seq(1f, 2f, 3f), Seq(0f, 5f, 0f)))
  }
}
