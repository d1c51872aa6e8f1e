package io.dlcache.write

import io.dlcache.error.DlcacheException
import org.scalatest.funsuite.AnyFunSuite

class WriteOutcomesSuite extends AnyFunSuite {

  private def outcome(n: Long) = WriteOutcome("/d", n, "a" * 64, "durable", isHit = false, n, n, 1, 0.5)

  test("the last outcomes are kept, as many as fit") {
    val outcomes = new WriteOutcomes(capacity = 3)
    (1 to 5).foreach(i => outcomes.record(i.toString, outcome(i.toLong)))
    (3 to 5).foreach(i => assert(outcomes(i.toString) == outcome(i.toLong)))
    (1 to 2).foreach { i =>
      assert(intercept[DlcacheException](outcomes(i.toString)).getCondition == "DLCACHE_UNKNOWN_REQUEST")
    }
    outcomes.record("3", outcome(9))
    outcomes.record("6", outcome(6))
    assert(outcomes("3") == outcome(9))
    assert(intercept[DlcacheException](outcomes("4")).getMessageParameters.get("request") == "4")
  }

  test("a row has the columns of the schema") {
    val row = outcome(3).row
    assert(row.length == WriteOutcome.Schema.length)
    assert(WriteOutcome.Schema.fieldNames.toSeq.indexOf("hit") == row.toSeq.indexOf(false))
  }
}
