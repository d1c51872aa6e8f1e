package io.dlcache.key

import java.nio.file.Files

import org.scalatest.funsuite.AnyFunSuite

class PythonSourcesSuite extends AnyFunSuite {
  private val command = "def f".getBytes
  private val name = PythonSources.sha256(command)

  private def source(text: String): PythonSource =
    PythonSources(PythonSources.parse(s"""{"$name": $text}""").get, durable = true).of(command).get

  test("what Python hands over is found by the SHA-256 of the pickle") {
    assert(source("""{"digest": "a", "source": "b", "changed": null}""").source.contains("b"))
    assert(source("""{"untraceable": "why"}""").untraceable.contains("why"))
    assert(PythonSources.none.of(command).isEmpty)
  }

  test("what has neither a digest nor a reason is refused, and so is what is no object") {
    Seq("{}", "[]", "1", """{"digest": ""}""", """{"digest": 1}""").foreach { text =>
      assert(PythonSources.parse(s"""{"$name": $text}""").isEmpty, text)
    }
    Seq("", "[]", "{", "null").foreach(text => assert(PythonSources.parse(text).isEmpty, text))
  }

  test("the state of a function is that of its files as they are") {
    val file = Files.createTempFile("module", ".py")
    val one = source(s"""{"digest": "a", "files": ["$file"]}""")
    val before = one.state
    assert(one.state == before)
    Files.writeString(file, "x = 1")
    assert(one.state != before)
    Files.delete(file)
    assert(one.state != before)
  }
}
