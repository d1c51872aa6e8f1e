package io.dlcache.conf

import io.dlcache.error.DlcacheException
import org.scalatest.funsuite.AnyFunSuite

class RootSuite extends AnyFunSuite {

  private val environment = Map("DLCACHE_ROOT" -> "/env", "XDG_CACHE_HOME" -> "/xdg")

  test("option, then environment, then the user's cache directory on a local master") {
    assert(Root.resolve(Some("/given"), "yarn", environment, "/home/u") == "/given")
    assert(Root.resolve(None, "yarn", environment, "/home/u") == "/env")
    assert(Root.resolve(None, "local[2]", environment - "DLCACHE_ROOT", "/home/u") == "/xdg/dlcache")
    assert(Root.resolve(None, "local", Map.empty, "/home/u") == "/home/u/.cache/dlcache")
    assert(Root.resolve(None, "local-cluster[2,1,1024]", Map("DLCACHE_ROOT" -> ""), "/h") == "/h/.cache/dlcache")
  }

  test("on a cluster a root must be named: the error says what to set") {
    val e = intercept[DlcacheException](Root.resolve(None, "spark://h:7077", environment - "DLCACHE_ROOT", "/home/u"))
    assert(e.getCondition == "DLCACHE_NO_ROOT")
    Seq("spark://h:7077", "spark.datasource.dlcache.root", "DLCACHE_ROOT", "save(path)").foreach { part =>
      assert(e.getMessage.contains(part))
    }
  }
}
