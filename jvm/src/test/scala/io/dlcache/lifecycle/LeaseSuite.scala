package io.dlcache.lifecycle

import java.time.Instant

import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class LeaseSuite extends AnyFunSuite with ScalaCheckPropertyChecks {

  private val now = Instant.parse("2026-11-23T08:15:30.123Z")
  private val kinds = Gen.oneOf(Lease.Reader, Lease.Writer, Lease.Application)
  private val leases = for {
    kind <- kinds
    host <- Gen.asciiPrintableStr
    pid <- Gen.chooseNum(1L, 1L << 22)
    start <- Gen.option(Gen.numStr)
    seconds <- Gen.chooseNum(-100000L, 100000L)
    version <- Gen.chooseNum(1L, Long.MaxValue)
    application <- Gen.asciiPrintableStr
    job <- Gen.option(Gen.uuid.map(_.toString))
    base <- Gen.option(Gen.chooseNum(0L, Long.MaxValue))
  } yield Lease(kind, host, pid, start, now.plusSeconds(seconds), Some(version), Some(application), job, base)

  test("a lease is what was written") {
    forAll(leases)(lease => assert(Lease.parse(Lease.write(lease)).contains(lease)))
  }

  test("the text is that of docs/format.md, to the millisecond") {
    val lease = Lease("application", "host", 7, Some("123"), now.plusNanos(456), None, Some("app-1"))
    assert(
      Lease.write(lease) ==
        """{"kind":"application","host":"host","pid":7,"process-start":"123","application-id":"app-1",""" +
        """"expires-at":"2026-11-23T08:15:30.123Z"}"""
    )
    assert(
      Lease.write(Lease("writer", "host", 7, None, now, job = Some("j"), baseVersion = Some(4))) ==
        """{"kind":"writer","host":"host","pid":7,"job":"j","base-version":4,"expires-at":"2026-11-23T08:15:30.123Z"}"""
    )
  }

  test("what is no lease is none") {
    val whole = Lease.write(Lease("reader", "host", 7, None, now, Some(3)))
    assert(Lease.parse(whole).isDefined)
    val broken =
      Seq("", "[]", "null", whole.dropRight(1), whole.replace("reader", "friend"), whole.replace(":7", ":-7")) ++
        Seq("kind", "host", "pid", "expires-at", "version").map(key => whole.replace(s"\"$key\"", "\"other\""))
    broken.foreach(text => assert(Lease.parse(text).isEmpty, text))
    forAll(Gen.asciiPrintableStr)(text => assert(Lease.parse(text).isEmpty))
  }

  test("a lease is live until it expires, or its process is seen to be gone; a reader that is there holds on") {
    forAll(leases, Gen.oneOf("here", "there"), Gen.option(Gen.oneOf(true, false))) { (some, host, running) =>
      val lease = some.copy(host = host)
      val seen = if (host == "here") running else None
      val expected =
        if (seen.contains(false)) false
        else (seen.contains(true) && lease.kind == Lease.Reader) || lease.expiresAt.isAfter(now)
      assert(lease.isLive(now, "here", (_, _) => running) == expected)
    }
  }

  test("processes are told by pid and start") {
    val pid = Processes.ownPid
    assert(Processes.startOf(pid).isDefined)
    assert(Processes.isRunning(pid, Processes.startOf(pid)).contains(true))
    assert(Processes.isRunning(pid, Some("1")).contains(false))
    assert(Processes.isRunning(pid, None).isEmpty)
    val child = new ProcessBuilder("true").start()
    child.waitFor()
    assert(Processes.isRunning(child.pid(), None).contains(false))
    assert(Processes.host.split(' ').length == 3)
  }
}
