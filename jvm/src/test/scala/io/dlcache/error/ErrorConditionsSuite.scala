package io.dlcache.error

import java.nio.file.{Files, Paths}

import org.scalatest.funsuite.AnyFunSuite

/** The conditions file and the methods that raise them belong together. */
class ErrorConditionsSuite extends AnyFunSuite {

  private val main = Paths.get("jvm", "src", "main")
  private val raised = {
    val source = Files.readString(main.resolve("scala/io/dlcache/error/DlcacheErrors.scala"))
    "error\\(\"(DLCACHE_[A-Z_]+)\"".r.findAllMatchIn(source).map(_.group(1)).toSeq
  }

  test("each condition is raised by one method, in the order of their names") {
    assert(raised == ErrorConditions.all.keys.toSeq.sorted)
    val file = Files.readString(main.resolve("resources/io/dlcache/error/dlcache-error-conditions.json"))
    assert("\"(DLCACHE_[A-Z_]+)\":".r.findAllMatchIn(file).map(_.group(1)).toSeq == raised)
  }

  test("each condition has a state and says what to do") {
    ErrorConditions.all.foreach { case (name, condition) =>
      assert(condition.sqlState.matches("[0-9A-Z]{5}"), name)
      assert(condition.message.endsWith("."), name)
    }
  }

  test("values are filled in as they are") {
    val message = DlcacheErrors.invalidOption("a$1", "\\x<b>", "c").getMessage
    assert(message.startsWith("[DLCACHE_INVALID_OPTION]"))
    assert(message.contains("'a$1'") && message.contains("'\\x<b>'"))
  }
}
