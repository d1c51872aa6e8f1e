package io.dlcache.conf

import io.dlcache.error.DlcacheException
import org.scalatest.funsuite.AnyFunSuite

class TableOptionsSuite extends AnyFunSuite {

  private val ofCatalog = TableOptions.of(
    Map(
      "provider" -> "dlcache",
      "owner" -> "me",
      "location" -> "file:/d",
      "path" -> "file:/d",
      "comment" -> "mine",
      "option.dtype" -> "float32",
      "dtype" -> "float32",
      "option.request" -> "id"
    )
  )

  test("a catalog's properties are not options, its options are") {
    assert(ofCatalog.isOfCatalog && ofCatalog.path.contains("file:/d"))
    assert(ofCatalog.forWrite(Map("Shards" -> "2")) == Map("path" -> "file:/d", "dtype" -> "float32", "shards" -> "2"))
    assert(ofCatalog.forWrite(Map("DTYPE" -> "float64"))("dtype") == "float64")
    assert(ofCatalog.forRead(Map.empty) == Map("path" -> "file:/d"))
  }

  test("an unknown option of a catalog is left in, to be refused") {
    val bad = TableOptions.of(Map("provider" -> "dlcache", "path" -> "/d", "option.dtipe" -> "float32"))
    Seq(() => WriteConf.of(bad.forWrite(Map.empty), Map.empty), () => ReadConf.of(bad.forRead(Map.empty), Map.empty))
      .foreach(conf => assert(intercept[DlcacheException](conf()).getCondition == "DLCACHE_UNKNOWN_OPTION"))
  }

  test("settings of Hadoop keep their case") {
    val table = TableOptions.of(Map("provider" -> "dlcache", "path" -> "/d", "option.fs.azure.Key" -> "k"))
    assert(table.hadoop == Map("fs.azure.Key" -> "k"))
    assert(table.forRead(Map("fs.Other" -> "o")) == Map("path" -> "/d", "fs.azure.Key" -> "k", "fs.Other" -> "o"))
  }

  test("what is computed is not kept, and a table is managed if nothing says where it is") {
    val table = TableOptions.of(Map("provider" -> "dlcache", "path" -> "/d", "dlcache.rows" -> "7", "mine" -> "yes"))
    assert(table.keptProperties == Map("provider" -> "dlcache", "mine" -> "yes"))
    assert(table.isManaged && !ofCatalog.isManaged)
  }

  test("options that come without a catalog are as they are") {
    val plain = TableOptions.of(Map("Path" -> "/d", "Request" -> "id", "dtype" -> "float32"))
    assert(!plain.isOfCatalog && plain.request.contains("id"))
    assert(plain.forRead(Map.empty) == Map("path" -> "/d", "request" -> "id", "dtype" -> "float32"))
  }
}
