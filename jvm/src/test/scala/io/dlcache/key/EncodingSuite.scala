package io.dlcache.key

import org.apache.spark.sql.functions._
import org.apache.spark.sql.internal.SQLConf
import org.scalacheck.Gen
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** The pieces of the encoding that need no Spark session, or hardly any. */
class EncodingSuite extends KeySuite with ScalaCheckPropertyChecks {

  test("fields are told apart: no two sequences of strings have one pre-image") {
    val words = Gen.listOf(Gen.oneOf("", "a", "b", "ab", "aa", "s"))
    forAll(words, words) { (first, second) =>
      def digest(words: List[String]) = Digest(sink => words.foreach(sink.string))
      assert((digest(first) == digest(second)) == (first == second))
    }
  }

  test("digests have an order that does not depend on the JVM") {
    val digests = (0 until 100).map(i => Digest(_.long('i', i.toLong)))
    assert(digests.sorted.map(_.hex) == digests.map(_.hex).sorted)
  }

  test("maps are written in the order of their keys") {
    val entries = (0 until 20).map(i => s"k$i" -> s"v$i")
    def digest(map: Map[String, String]) = Digest(InputState.writeMap(_, map))
    assert(digest(entries.toMap) == digest(scala.collection.immutable.ListMap(entries.reverse: _*)))
  }

  test("JSON is written with sorted keys") {
    assert(CanonicalJson("""{"b":1,"a":{"d":2,"c":[3,{"f":4,"e":5}]}}""") ==
      """{"a":{"c":[3,{"e":5,"f":4}],"d":2},"b":1}""")
  }

  test("objects keep their number as long as they live, and no two have one") {
    val objects = Seq.fill(100)(new String("same"))
    val numbers = objects.map(ObjectIdentity.of)
    assert(objects.map(ObjectIdentity.of) == numbers)
    assert(numbers.distinct.length == 100)
  }

  test("seeds that a person chose are told from random ones") {
    Seq[Any](0, 42, -1, 42L, 0xffffffffL, Int.MinValue.toLong).foreach(seed =>
      assert(RandomSequences.isChosen(seed), s"$seed")
    )
    Seq[Any](0x100000000L, Long.MaxValue, Long.MinValue, null, "7").foreach(seed =>
      assert(!RandomSequences.isChosen(seed), s"$seed")
    )
  }

  test("another encoder gives the same digest") {
    val plan = spark.range(10).select((col("id") + 1).as("a")).filter("a > 3").queryExecution.analyzed
    assert(new PlanEncoder().encode(plan) == new PlanEncoder().encode(plan))
  }

  test("Python's values are written by value, whatever Java holds them") {
    def digest(value: Any) = {
      var unknown: Option[String] = None
      (Digest(sink => unknown = PythonValueEncoder.write(sink, value)), unknown)
    }
    assert(digest(1) == digest(1L) && digest(1) == digest(java.math.BigInteger.ONE))
    assert(digest(1) != digest(1.0) && digest("1") != digest(1) && digest(null) != digest(0))
    assert(digest(Array[Any](1, "a")) == digest(java.util.Arrays.asList[Any](1, "a")))
    assert(digest(Array[Any](1, Array[Any](2))) != digest(Array[Any](1, 2)))
    val map = new java.util.LinkedHashMap[String, Any]
    map.put("b", 1)
    map.put("a", 2)
    assert(digest(map) == digest(new java.util.TreeMap(map)))
    assert(digest(new Object)._2.contains("java.lang.Object"))
    assert(digest(Array[Any](1, new Object))._2.contains("java.lang.Object"))
  }

  test("the configurations that count are known to Spark, by these names") {
    val unknown = SemanticConfs.Names.filterNot(spark.conf.getOption(_).isDefined)
    // Older versions of Spark know fewer of them.
    assert(unknown.isEmpty || spark.version < "4.2", unknown)
    assert(SemanticConfs.Names == SemanticConfs.Names.distinct.sorted)
  }

  // Redaction.

  private val redaction = Redaction.of(new SQLConf)

  test("credentials in URLs and connection strings are hidden") {
    Seq(
      "jdbc:postgresql://host/db?user=joe&password=hunter2&ssl=true",
      "jdbc:sqlserver://host:1433;databaseName=x;user=joe;password=hunter2",
      "s3a://AKIA:hunter2@bucket/path",
      "jdbc:oracle:thin:scott/hunter2@//host:1521/service",
      "password=hunter2",
      "AccountName=x;AccountKey=hunter2;EndpointSuffix=core.windows.net",
      "Relation (url='password=hunter2')",
      "https://account.blob.core.windows.net/c?sv=1&sig=hunter2",
      "abfss://c@account.dfs.core.windows.net/x?access_token=hunter2"
    ).foreach { text =>
      val hidden = redaction.redactText(text)
      assert(!hidden.contains("hunter2") && hidden.contains(Redaction.Hidden), hidden)
    }
    Seq("s3a://bucket/path/part-0.parquet", "abfss://container@account.dfs.core.windows.net/x", "id = 3 AND name = x")
      .foreach(text => assert(redaction.redactText(text) == text))
  }

  test("values of secret options are hidden, others are not") {
    val shown = redaction.redactOptions(
      Map("password" -> "p", "fs.s3a.secret.key" -> "p", "apiKey" -> "p", "sas-token" -> "p", "header" -> "true")
    )
    assert(shown.filter(_._2 == Redaction.Hidden).keySet == Set("password", "fs.s3a.secret.key", "apiKey", "sas-token"))
    assert(shown("header") == "true")
  }

  test("explanations: secrets in literals, options and text are hidden, and still count for the key") {
    val path = parquet("secrets")
    def data(secret: String) =
      spark.read.option("password", secret).option("mergeSchema", "false").parquet(path)
        .withColumn("password", col("s")).filter(col("password") === secret)
        .filter(upper(col("password")) =!= secret).withColumn("api_key", concat(lit(secret), col("s")))
        .filter(col("s") =!= s"token $secret").filter("id > 3")
    val key = keyOf(data("hunter2"))
    val text = key.explanation.toString
    assert(!text.contains("hunter2"))
    assert(text.contains("id > ") || text.contains("(id > cast(3 as bigint))"))
    assert(text.contains("mergeschema"))
    assert(keyOf(data("hunter3")).digest != key.digest)
  }

  test("explanations: Spark's own redaction of plan text is honoured") {
    val data = spark.range(3).toDF().filter("id > 12345")
    assert(keyOf(data).explanation.toString.contains("12345"))
    withConf("spark.sql.redaction.string.regex" -> "1234\\d")(
      assert(!keyOf(data).explanation.toString.contains("12345"))
    )
  }

  test("string literals that match Spark's pattern of secrets are hidden") {
    val plan = spark.range(3).toDF().filter("cast(id as string) in ('my token', 'mine')").queryExecution.analyzed
    val shown = plan.mapExpressions(redaction.redactLiterals).toString
    assert(!shown.contains("my token") && shown.contains("mine"))
  }

  test("explanations: equal for equal queries, down to the text") {
    val path = parquet("text")
    def text() =
      keyOf(spark.read.parquet(path).groupBy("k").agg(sum("id").as("a")).filter("a > 1")).explanation.toString
    assert(text() == text())
    assert(!text().contains("#"))
  }
}
