package io.dlcache.shard.buffer

import java.io.ByteArrayInputStream

import io.dlcache.shard.RowGroupLimits
import org.apache.parquet.column.values.rle.RunLengthBitPackingHybridDecoder
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class LevelEncoderSuite extends AnyFunSuite with ScalaCheckPropertyChecks {
  private def newEncoder(maxLevel: Int) = new LevelEncoder(maxLevel, RowGroupLimits(1 << 20), "x")
  private val maxLevels = Gen.oneOf(1, 2, 3, 5, 7, 8, 15, 100, 255)
  private def runs(maxLevel: Int): Gen[List[(Int, Int)]] =
    Gen.listOf(Gen.zip(Gen.choose(0, maxLevel), Gen.frequency(5 -> Gen.choose(0, 9), 1 -> Gen.choose(10, 2000))))

  private def decoded(encoder: LevelEncoder, maxLevel: Int, count: Int): Seq[Int] = {
    encoder.finish()
    val bytes = new ByteArrayInputStream(encoder.bytes, encoder.from, encoder.size)
    val decoder = new RunLengthBitPackingHybridDecoder(32 - Integer.numberOfLeadingZeros(maxLevel), bytes)
    Seq.fill(count)(decoder.readInt())
  }

  private def expand(runs: Seq[(Int, Int)]): Seq[Int] = runs.flatMap { case (level, count) => Seq.fill(count)(level) }

  test("Parquet decodes what was encoded") {
    forAll(maxLevels.flatMap(max => runs(max).map(max -> _)), minSuccessful(300)) { case (max, runs) =>
      val encoder = newEncoder(max)
      runs.foreach { case (level, count) => encoder.repeat(level, count.toLong) }
      val levels = expand(runs)
      assert(decoded(encoder, max, levels.size) == levels)
    }
  }

  test("a repeated pattern is the pattern, again and again") {
    val patterns = maxLevels.flatMap(max => runs(max).suchThat(_.exists(_._2 > 0)).map(max -> _))
    forAll(patterns, Gen.choose(1, 200), minSuccessful(200)) { case ((max, runs), times) =>
      val encoder = newEncoder(max)
      encoder.repeatPattern(times.toLong)(e => runs.foreach { case (level, count) => e.repeat(level, count.toLong) })
      val levels = Seq.fill(times)(expand(runs)).flatten
      assert(decoded(encoder, max, levels.size) == levels)
    }
  }

  test("equal levels take one run") {
    val encoder = newEncoder(3)
    encoder.repeat(3, 1000)
    encoder.repeat(3, 1000000)
    encoder.finish()
    assert(encoder.size <= 5)
  }
}
