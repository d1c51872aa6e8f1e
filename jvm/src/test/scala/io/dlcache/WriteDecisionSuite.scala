package io.dlcache

import io.dlcache.conf.IfAppended
import io.dlcache.manifest.PlanKeyEntry
import org.apache.spark.sql.SaveMode
import org.scalatest.funsuite.AnyFunSuite

class WriteDecisionSuite extends AnyFunSuite {
  import WriteDecision._

  private val key = PlanKeyEntry("durable", "a" * 64, None)
  private val others = Seq(key.copy(digest = "b" * 64), key.copy(scope = "user"))

  test("the table of modes, cell by cell") {
    val table = Seq(
      (SaveMode.ErrorIfExists, Build, Hit, Refuse),
      (SaveMode.Ignore, Build, Hit, Leave),
      (SaveMode.Overwrite, Build, Replace, Replace),
      (SaveMode.Append, Build, Append, Append)
    )
    assert(table.map(_._1).toSet == SaveMode.values.toSet)
    table.foreach { case (mode, nothing, same, other) =>
      assert(WriteDecision.of(mode, None, key, isStale = false) == nothing)
      assert(WriteDecision.of(mode, Some(key), key, isStale = false) == same)
      assert(WriteDecision.of(mode, Some(key), key, isStale = true) == (if (same == Hit) Replace else same))
      for (there <- others; expired <- Seq(false, true))
        assert(WriteDecision.of(mode, Some(there), key, expired) == other)
    }
  }

  test("an append of rows that are there is refused, left out or made, as the option says") {
    val table = Seq(IfAppended.Error -> RefuseAgain, IfAppended.Skip -> Hit, IfAppended.Append -> Append)
    assert(table.map(_._1) == IfAppended.all)
    for ((how, again) <- table; there <- key +: others) {
      def decide(there: Option[PlanKeyEntry], isAppended: Boolean) =
        WriteDecision.of(SaveMode.Append, there, key, isStale = false, isAppended, how)
      assert(decide(Some(there), isAppended = true) == again)
      assert(decide(Some(there), isAppended = false) == Append)
      assert(decide(None, isAppended = false) == Build)
    }
  }

  test("a session key is the same in its own application only") {
    val session = PlanKeyEntry("session", "c" * 64, Some("app-1"))
    assert(WriteDecision.of(SaveMode.ErrorIfExists, Some(session), session, isStale = false) == Hit)
    val later = session.copy(applicationId = Some("app-2"))
    assert(WriteDecision.of(SaveMode.ErrorIfExists, Some(session), later, isStale = false) == Refuse)
  }
}
