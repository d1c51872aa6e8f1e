package io.dlcache.conf

import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class OptionParserSuite extends AnyFunSuite with ScalaCheckPropertyChecks {

  test("a byte count is its number times its unit, however it is written") {
    val units = Gen.oneOf("" -> 0, "k" -> 10, "m" -> 20, "g" -> 30, "t" -> 40)
    forAll(Gen.choose(0L, 1L << 20), units, Gen.oneOf("", "b", "B"), Gen.oneOf("", " ")) {
      case (count, (unit, shift), suffix, space) =>
        val expected = Some(count << shift)
        assert(OptionParser.byteCount(s"$count$space$unit$suffix") == expected)
        assert(OptionParser.byteCount(s" $count$space${unit.toUpperCase}$suffix ") == expected)
    }
  }

  test("what is not a byte count is none") {
    Seq("", "m", "-1", "1.5m", "1 2", "1mm", "64x", "9223372036854775807k", "99999999999999999999").foreach { text =>
      assert(OptionParser.byteCount(text).isEmpty, text)
    }
  }

  test("a time to live is its number times its unit") {
    assert(OptionParser.secondCount("45s").contains(45L))
    assert(OptionParser.secondCount("30m").contains(1800L))
    assert(OptionParser.secondCount("12 H").contains(43200L))
    assert(OptionParser.secondCount("7d").contains(604800L))
    assert(OptionParser.secondCount("2w").contains(1209600L))
    Seq("7", "d", "-7d", "1y", "1.5d", "7dd", "99999999999999999w").foreach { text =>
      assert(OptionParser.secondCount(text).isEmpty, text)
    }
  }
}
