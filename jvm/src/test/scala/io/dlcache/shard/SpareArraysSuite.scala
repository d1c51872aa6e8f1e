package io.dlcache.shard

import java.util.Arrays

import org.apache.spark.sql.functions.expr
import org.scalacheck.Gen
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class SpareArraysSuite extends ShardTest with ScalaCheckPropertyChecks {
  private val length = Gen.oneOf(Gen.choose(0, 1000), Gen.choose(1 << 18, 1 << 21))
  private val lengths = Gen.choose(0, 6).flatMap(Gen.listOfN(_, length))

  test("an array is long enough and not much longer, and nobody else has it") {
    forAll(lengths, lengths) { (first, second) =>
      val taken = first.map(SpareArrays.take)
      val more = second.map(SpareArrays.take)
      val spare = taken.take(taken.size / 2)
      spare.foreach(SpareArrays.give)
      val again = second.map(SpareArrays.take)
      for ((length, array) <- (first ++ second ++ second).zip(taken ++ more ++ again))
        assert(array.length >= length && array.length <= length + length / 4)
      val held = taken.drop(spare.size) ++ more ++ again
      assert(held.forall(array => held.count(_ eq array) == 1))
      held.foreach(SpareArrays.give)
    }
  }

  test("shards in arrays that others have used hold the same bytes") {
    val data = spark
      .range(0, 3000, 1, 1)
      .select(
        expr("id"),
        expr("id % 3 = 0 as flag"),
        expr("if(id % 7 = 0, null, id) as holes"),
        expr("transform(sequence(0, 199), x -> cast(x * id as float)) as tensor"),
        expr("transform(sequence(0, cast(id % 300 as int)), x -> cast(x * id as float)) as ragged"),
        expr("repeat(cast(id as string), 100) as text")
      )
    val options = ShardOptions(3 << 20)
    val first = write(data, None, options)
    assert(first.summary.rowGroupRows < first.summary.rows, "more than one row group")
    val sizes = Seq(1 << 18, 1 << 19, 1 << 20, 1500000, 2 << 20, 3 << 20, 4 << 20)
    val spoiled = sizes.map(SpareArrays.take)
    spoiled.foreach(Arrays.fill(_, 0x5a.toByte))
    spoiled.foreach(SpareArrays.give)
    assert(write(data, None, options).bytes.toSeq == first.bytes.toSeq)
  }
}
