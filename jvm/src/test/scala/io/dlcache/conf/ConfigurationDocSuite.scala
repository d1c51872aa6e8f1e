package io.dlcache.conf

import java.nio.file.{Files, Paths}

import org.scalatest.funsuite.AnyFunSuite

/** docs/configuration.md and the registry of options say the same. */
class ConfigurationDocSuite extends AnyFunSuite {

  private val expected = DlcacheOption.All.map { option =>
    val use = (option.onWrite, option.onRead) match {
      case (true, true) => "write, read"
      case (true, false) => "write"
      case _ => "read"
    }
    s"| `${option.name}` | $use | ${option.values} | ${option.default} | ${option.meaning} |"
  }

  test("the table in docs/configuration.md is the registry of options") {
    val lines = Files.readAllLines(Paths.get("docs", "configuration.md")).toArray(Array.empty[String]).toSeq
    assert(lines.filter(_.startsWith("| `")).mkString("\n") == expected.mkString("\n"))
  }

  test("names differ by more than case") {
    assert(DlcacheOption.All.map(_.name.toLowerCase).distinct.size == DlcacheOption.All.size)
  }
}
