package io.dlcache.conf

import io.dlcache.error.DlcacheException
import org.scalatest.funsuite.AnyFunSuite

class ReadConfSuite extends AnyFunSuite {

  private def failure(options: (String, String)*): DlcacheException =
    intercept[DlcacheException](ReadConf.of(options.toMap, Map.empty))

  test("a path is a dataset, at its current version or at a given one") {
    assert(ReadConf.of(Map("path" -> "/d"), Map.empty) == ReadConf.Dataset("/d", None))
    assert(ReadConf.of(Map("Path" -> "/d", "VERSION" -> "2"), Map.empty) == ReadConf.Dataset(
      "/d",
      Some(ReadConf.VersionAsOf(2))
    ))
  }

  test("versionAsOf is version, timestampAsOf a time in the session's zone; they must agree") {
    def asOf(options: (String, String)*) =
      ReadConf.of(options.toMap + ("path" -> "/d"), Map("spark.sql.session.timeZone" -> "Asia/Tokyo"))
    val second = ReadConf.Dataset("/d", Some(ReadConf.VersionAsOf(2)))
    assert(asOf("versionAsOf" -> "2") == second && asOf("version" -> "2", "versionAsOf" -> "2") == second)
    val micros = 3L * 3600 * 1000 * 1000
    Seq("1970-01-01 12:00:00", "1970-01-01T03:00:00Z").foreach { text =>
      assert(asOf("timestampAsOf" -> text) == ReadConf.Dataset("/d", Some(ReadConf.TimestampAsOf(micros))))
    }
    Seq(
      Seq("path" -> "/d", "version" -> "1", "versionAsOf" -> "2"),
      Seq("path" -> "/d", "versionAsOf" -> "2", "timestampAsOf" -> "2026-01-01"),
      Seq("path" -> "/d", "timestampAsOf" -> "soon"),
      Seq("path" -> "/d", "history" -> "yes")
    ).foreach(options => assert(failure(options: _*).getCondition == "DLCACHE_INVALID_OPTION", options))
  }

  test("settings of Hadoop pass with their case, and nothing else does") {
    val options = Map("path" -> "/d", "fs.s3a.Access.key" -> "k", "FS.x" -> "y")
    assert(ReadConf.of(options, Map.empty) == ReadConf.Dataset("/d", None, options - "path"))
    assert(ReadConf.of(options + ("history" -> "true"), Map.empty) == ReadConf.History("/d", options - "path"))
    assert(failure("path" -> "/d", "hadoop.fs.x" -> "y").getCondition == "DLCACHE_UNKNOWN_OPTION")
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
    assert(e.getMessageParameters.get("known") == "history, path, request, timestampAsOf, version, versionAsOf")
    // Spark merges the session's configuration into the options of a read.
    val session = Map("spark.datasource.dlcache.dtype" -> "float32")
    assert(
      ReadConf.of(Map("path" -> "/d", "dtype" -> "float32"), session) == ReadConf.Dataset("/d", None)
    )
  }
}
