package io.dlcache.write

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.ObjectMapper
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

  test("an outcome as JSON") {
    val request = java.util.UUID.randomUUID().toString
    assert(WriteOutcomes.json(request) == null)
    WriteOutcomes.driver.record(request, outcome(1L << 60).copy(path = "file:/a \"b\"/ä"))
    val json = new ObjectMapper().readTree(WriteOutcomes.json(request))
    assert(json.fieldNames.asScala.toSet == WriteOutcome.Schema.fieldNames.toSet)
    assert(json.get("path").asText == "file:/a \"b\"/ä" && json.get("rows").asLong == (1L << 60))
    assert(!json.get("hit").asBoolean && json.get("seconds").asDouble == 0.5)
  }

  test("a row has the columns of the schema") {
    val row = outcome(3).row
    assert(row.length == WriteOutcome.Schema.length)
    assert(WriteOutcome.Schema.fieldNames.toSeq.indexOf("hit") == row.toSeq.indexOf(false))
  }
}
