package io.dlcache.conf

import io.dlcache.error.DlcacheException
import org.scalatest.funsuite.AnyFunSuite

class ReadConfSuite extends AnyFunSuite {

  private def failure(options: (String, String)*): DlcacheException =
    intercept[DlcacheException](ReadConf.of(options.toMap, Map.empty))

  test("a path is a dataset, at its current version or at a given one") {
    assert(ReadConf.of(Map("path" -> "/d"), Map.empty) == ReadConf.Dataset("/d", None))
    assert(ReadConf.of(Map("Path" -> "/d", "VERSION" -> "2"), Map.empty) == ReadConf.Dataset("/d", Some(2L)))
  }

  test("a request without a path is an outcome") {
    assert(ReadConf.of(Map("request" -> "id"), Map.empty) == ReadConf.Outcome("id"))
    assert(failure("request" -> "id", "path" -> "/d").getCondition == "DLCACHE_INVALID_OPTION")
  }

  test("no path, several paths and a bad version are refused") {
    assert(failure().getCondition == "DLCACHE_PATH_REQUIRED")
    assert(failure("paths" -> "[\"a\",\"b\"]").getCondition == "DLCACHE_INVALID_OPTION")
    assert(failure("path" -> "/d", "version" -> "0").getCondition == "DLCACHE_INVALID_OPTION")
  }

  test("an option of writes is refused, unless it comes from the session, which serves both") {
    val e = failure("path" -> "/d", "dtype" -> "float32")
    assert(e.getCondition == "DLCACHE_UNKNOWN_OPTION")
    assert(e.getMessageParameters.get("known") == "path, request, version")
    // Spark merges the session's configuration into the options of a read.
    val session = Map("spark.datasource.dlcache.dtype" -> "float32")
    assert(
      ReadConf.of(Map("path" -> "/d", "dtype" -> "float32"), session) == ReadConf.Dataset("/d", None)
    )
  }
}
