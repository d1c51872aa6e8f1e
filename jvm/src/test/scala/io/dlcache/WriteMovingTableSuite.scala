package io.dlcache

import io.dlcache.key.MovingSource
import org.apache.spark.sql.DataFrame
import org.scalatest.funsuite.AnyFunSuite

/** A table that reports its version may get a new one between the key and the reading of its rows. */
class WriteMovingTableSuite extends AnyFunSuite with WriteTest {

  private def rows(): DataFrame = spark.read.format(classOf[MovingSource].getName).load()

  private def values(path: String): Seq[Long] = read(path).collect().map(_.getLong(0)).toSeq

  private def versionInKey(path: String): String =
    current(path).explanation.get.get("inputs").get(0).get("version").asText

  test("rows of a later version are not published under the key of an earlier one") {
    assume(!spark.version.startsWith("4.0"), "tables of Spark 4.0 have no id and version")
    val path = newPath()
    val before = MovingSource.version.get
    MovingSource.moves.set(1)
    rows().write.format("dlcache").save(path)
    assert(values(path) == Seq(before + 1))
    assert(versionInKey(path) == s"${before + 1}")
    assert(files(path) == namedFiles(path))
    assert(stages(rows().write.format("dlcache").save(path)) == 0)
  }

  test("a table that never rests is an error, and leaves nothing") {
    assume(!spark.version.startsWith("4.0"), "tables of Spark 4.0 have no id and version")
    val path = newPath()
    MovingSource.moves.set(1000)
    try {
      val e = refusal("DLCACHE_INPUT_CHANGED")(rows().write.format("dlcache").save(path))
      assert(e.getMessage.contains("VERSION AS OF"))
      assert(files(path).isEmpty && !store(path).exists())
    } finally MovingSource.moves.set(0)
  }
}
