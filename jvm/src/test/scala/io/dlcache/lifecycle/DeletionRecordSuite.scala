package io.dlcache.lifecycle

import java.nio.charset.StandardCharsets.UTF_8
import java.time.Instant

import org.scalatest.funsuite.AnyFunSuite

class DeletionRecordSuite extends AnyFunSuite {

  private val now = Instant.now()
  private def own(expiresAt: Instant) = DeletionRecord.own(Seq(1, 4), Seq("data/a", "data/b"), expiresAt)

  test("a record is what was written, to the millisecond") {
    val record = own(Instant.parse("2026-11-23T08:15:30.123Z"))
    assert(DeletionRecord.parse(record.write) == record)
  }

  test("a deletion is at work until it says that it has ended") {
    assert(own(now.plusSeconds(60)).mayDeleteFrom(4, now) && !own(now.plusSeconds(60)).mayDeleteFrom(5, now))
    assert(!own(Instant.EPOCH).mayDeleteFrom(1, now))
    assert(own(now).takes(Seq("data/b", "data/c")) && !own(now).takes(Seq("data/c")))
  }

  test("one that an older dlcache wrote has no deleter, and what is no record names nothing") {
    val old = DeletionRecord.parse("""{"versions": [1], "shards": ["data/a"]}""".getBytes(UTF_8))
    assert(old == DeletionRecord(Seq(1), Seq("data/a"), None) && !old.mayDeleteFrom(1, now))
    Seq("", "[]", "null", "{", "{}", """{"versions": 1}""").foreach { text =>
      assert(DeletionRecord.parse(text.getBytes(UTF_8)) == DeletionRecord(Nil, Nil, None), text)
    }
  }
}
