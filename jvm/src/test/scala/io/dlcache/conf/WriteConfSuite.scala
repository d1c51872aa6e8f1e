package io.dlcache.conf

import io.dlcache.key.{PythonSource, PythonSources}
import io.dlcache.error.DlcacheException
import io.dlcache.shard.{FloatDtype, Pack}
import org.scalatest.funsuite.AnyFunSuite

class WriteConfSuite extends AnyFunSuite {

  private def failure(options: (String, String)*): DlcacheException =
    intercept[DlcacheException](WriteConf.of(options.toMap, Map.empty))

  test("without options everything has its default") {
    val conf = WriteConf.of(Map.empty, Map("spark.app.name" -> "x"))
    assert(
      conf == WriteConf(
        None,
        None,
        None,
        None,
        "uncompressed",
        128L << 20,
        32L << 20,
        Nil,
        None,
        None,
        None,
        PythonSources.none,
        None
      )
    )
  }

  test("every option is resolved, in any case") {
    val conf = WriteConf.of(
      Map(
        "PATH" -> "/d",
        "root" -> "/r",
        "key" -> "train-v3",
        "DType" -> "FLOAT32",
        "compression" -> "ZSTD",
        "targetshardbytes" -> "64m",
        "rowGroupBytes" -> "1048576",
        "pack" -> """{"y": ["d"], "x": ["b", "a"]}""",
        "shards" -> "8",
        "shuffle" -> "-3",
        "ttl" -> "7d",
        "udf" -> "Source",
        "functions" -> """{"ab": {"digest": "cd"}}""",
        "request" -> "id-1",
        "IFAPPENDED" -> "Skip",
        "ifShapeChanges" -> "Allow"
      ),
      Map.empty
    )
    assert(
      conf == WriteConf(
        Some("/d"),
        Some("/r"),
        Some("train-v3"),
        Some(FloatDtype.Float32),
        "zstd",
        64L << 20,
        1L << 20,
        Seq(Pack("x", Seq("b", "a")), Pack("y", Seq("d"))),
        Some(8),
        Some(-3L),
        Some(604800L),
        PythonSources(Map("ab" -> PythonSource(None, "cd", None, None, None, Nil, None)), durable = true),
        Some("id-1"),
        ifAppended = IfAppended.Skip,
        allowsShapes = true
      )
    )
  }

  test("an option wins over the session's configuration, which wins over the default") {
    val session = Map("spark.datasource.dlcache.dtype" -> "float64", "spark.datasource.dlcache.rowGroupBytes" -> "1m")
    val conf = WriteConf.of(Map("dtype" -> "float32"), session)
    assert(conf.dtype.contains(FloatDtype.Float32))
    assert(conf.rowGroupBytes == (1L << 20))
    assert(conf.targetShardBytes == (128L << 20))
    assert(WriteConf.of(Map("dtype" -> "source"), session).dtype.isEmpty)
  }

  test("packs are JSON text, and part of the key in one spelling") {
    def options(text: String) = WriteConf.of(Map("pack" -> text), Map.empty).writeOptions
    assert(options("""{"y":["c"],"x":["b","a"]}""")("pack") == """{"x":["b","a"],"y":["c"]}""")
    assert(options(""" { "x": ["b", "a"] } """) != options("""{"x":["a","b"]}"""))
    assert(!WriteConf.of(Map.empty, Map.empty).writeOptions.contains("pack"))
    val wrong = Seq("x", "[]", "{}", "7", """{"x":[]}""", """{"x":"a"}""", """{"x":[1]}""", """{"x":["a"],"x":["b"]}""")
    (wrong ++ Seq("""{"":["a"]}""", """{"x":["a"]} more""")).foreach { text =>
      assert(failure("pack" -> text).getCondition == "DLCACHE_INVALID_OPTION", text)
    }
  }

  test("settings of Hadoop pass with their case, and are no part of the key") {
    val conf = WriteConf.of(Map("fs.s3a.Secret.key" -> "k", "path" -> "/d"), Map.empty)
    assert(conf.hadoop == Map("fs.s3a.Secret.key" -> "k"))
    assert(conf.writeOptions == WriteConf.of(Map.empty, Map.empty).writeOptions)
    val session = Map("spark.datasource.dlcache.fs.s3a.secret.key" -> "k")
    val e = intercept[DlcacheException](WriteConf.of(Map.empty, session))
    assert(e.getCondition == "DLCACHE_UNKNOWN_OPTION" && !e.getMessage.contains("'k'"))
  }

  test("an unknown option is refused, with the options that there are") {
    val e = failure("dtyp" -> "float32")
    assert(e.getCondition == "DLCACHE_UNKNOWN_OPTION")
    assert(e.getMessage.contains("'dtyp'"))
    DlcacheOption.All.filter(_.onWrite).foreach(o => assert(e.getMessage.contains(o.name)))
    assert(failure("version" -> "1").getCondition == "DLCACHE_UNKNOWN_OPTION")
  }

  test("an unknown option in the session's configuration is refused") {
    val e = intercept[DlcacheException](WriteConf.of(Map.empty, Map("spark.datasource.dlcache.rot" -> "/r")))
    assert(e.getCondition == "DLCACHE_UNKNOWN_OPTION")
    assert(e.getMessage.contains("spark.datasource.dlcache.rot"))
  }

  test("a bad value is refused, with the option, the value and what is allowed") {
    val bad = Seq(
      "dtype" -> "float16",
      "compression" -> "lzo",
      "targetShardBytes" -> "0",
      "targetShardBytes" -> "big",
      "rowGroupBytes" -> "1025m",
      "shards" -> "0",
      "shards" -> "many",
      "shuffle" -> "yes",
      "ttl" -> "7",
      "ttl" -> "0d",
      "ifAppended" -> "never",
      "ifShapeChanges" -> "yes",
      "path" -> " ",
      "key" -> ""
    )
    bad.foreach { case (option, value) =>
      val e = failure(option -> value)
      assert(e.getCondition == "DLCACHE_INVALID_OPTION", s"$option=$value")
      assert(e.getMessageParameters.get("option") == option)
      assert(e.getMessageParameters.get("value") == value)
      assert(e.getMessageParameters.get("allowed") == DlcacheOption.All.find(_.name == option).get.values)
    }
  }

  test("partitionBy and clusterBy are refused") {
    assert(failure("__partition_columns" -> "[\"a\"]").getMessageParameters.get("method") == "partitionBy")
    assert(failure("__clustering_columns" -> "[\"a\"]").getMessageParameters.get("method") == "clusterBy")
  }

  test("the options that change bytes are told in one spelling, the others are not told") {
    def written(options: (String, String)*) = WriteConf.of(options.toMap, Map.empty).writeOptions
    assert(written("rowGroupBytes" -> "1m") == written("ROWGROUPBYTES" -> "1048576"))
    assert(written() == written("dtype" -> "Source", "path" -> "/p", "root" -> "/r", "ttl" -> "1d", "request" -> "r"))
    val distinct = Seq(
      written(),
      written("dtype" -> "float32"),
      written("compression" -> "zstd"),
      written("targetShardBytes" -> "1m"),
      written("rowGroupBytes" -> "1m"),
      written("shards" -> "2"),
      written("shuffle" -> "2")
    )
    assert(distinct.distinct.size == distinct.size)
  }
}
