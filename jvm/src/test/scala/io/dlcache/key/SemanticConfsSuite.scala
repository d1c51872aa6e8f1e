package io.dlcache.key

import scala.util.Random

import org.apache.spark.sql.{DataFrame, KeyTestAccess}
import org.apache.spark.sql.functions.col

/** Every SQL configuration that the session has set counts, unless it is known to be harmless. */
class SemanticConfsSuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  private def isHarmless(name: String): Boolean = HarmlessConfs.contains(name) || HarmlessConfs.isOfPython(name)

  private def confs(python: Boolean = false): Map[String, String] = SemanticConfs.of(spark, python)

  /** Another value than the default; what it is does not matter, since nothing reads it. */
  private def other(default: String): String = default match {
    case "true" => "false"
    case "false" => "true"
    case other => other + "0"
  }

  test("every configuration of Spark counts when it is not its default, the harmless ones excepted") {
    val before = confs()
    val known = KeyTestAccess.confDefaults().filter(_._1.startsWith("spark.sql."))
    assert(known.size > 500)
    known.foreach { case (name, default) =>
      val after = KeyTestAccess.withConf(spark, name -> other(default))(confs())
      assert((after == before) == isHarmless(name), name)
    }
    assert(confs() == before)
  }

  test("configurations drawn at random and flipped change the key, the harmless ones leave it alone") {
    val booleans = KeyTestAccess.confDefaults().collect { case (name, default @ ("true" | "false")) => name -> default }
    // Resolvers of another kind refuse some plans.
    val drawn = new Random(20).shuffle(
      booleans.toSeq.sorted.filter { case (name, _) => name.startsWith("spark.sql.") && !name.contains("Resolver") }
    ).take(60)
    val data = read().groupBy("k").count()
    val before = durable(data)
    drawn.foreach { case (name, default) =>
      val after = KeyTestAccess.withConf(spark, name -> other(default))(keyOf(data).digest)
      assert((after == before) == isHarmless(name), name)
    }
  }

  test("a configuration that Spark does not know counts, and one that is set to its default does not") {
    val before = confs()
    assert(KeyTestAccess.withConf(spark, "spark.sql.someone.elses" -> "1")(confs()) != before)
    assert(KeyTestAccess.withConf(spark, "spark.databricks.delta.someone.elses" -> "1")(confs()) != before)
    assert(KeyTestAccess.withConf(spark, "spark.sql.optimizer.metadataOnly" -> "false")(confs()) == before)
    // Set explicitly it no longer follows another one.
    val name = "spark.sql.parquet.filterPushdown.stringPredicate"
    assert(KeyTestAccess.withConf(spark, name -> "true")(confs()) != before)
  }

  test("configurations that changed rows under one key: subqueries, metadata only, the blocks of files") {
    val before = durable(read())
    Seq(
      "spark.sql.optimizer.decorrelateExistsSubqueryLegacyIncorrectCountHandling.enabled" -> "true",
      "spark.sql.optimizer.metadataOnly" -> "true"
    ).foreach(conf => assert(withConf(conf)(durable(read())) != before, conf))
    def blocks() = keyOf(read().select("_metadata.file_block_start")).digest
    val whole = blocks()
    assert(withConf("spark.sql.files.maxPartitionBytes" -> "1000")(blocks()) != whole)
    def length() = keyOf(read().filter(col("_metadata.file_block_length") > 7)).digest
    val plain = length()
    assert(withConf("spark.sql.files.maxPartitionBytes" -> "1000")(length()) != plain)
    def names() = durable(read().select("id", "_metadata.file_path", "_metadata.file_size"))
    val named = names()
    assert(withConf("spark.sql.files.maxPartitionBytes" -> "1000")(names()) == named)
    assert(sessionBecause(read().select("id", "k", "s", "_metadata")) == Set("partitioning"))
  }

  test("configurations of Python and Arrow count where Python functions take part") {
    val name = "spark.sql.execution.pandas.structHandlingMode"
    assert(KeyTestAccess.withConf(spark, name -> "row")(confs()) == confs())
    assert(KeyTestAccess.withConf(spark, name -> "row")(confs(python = true)) != confs(python = true))
  }

  test("where tables are stored and which catalogs there are do not count") {
    val before = durable(read())
    Seq(
      "spark.sql.warehouse.dir" -> "file:/elsewhere",
      "spark.sql.catalog.other" -> "org.example.Catalog",
      "spark.sql.catalog.other.token" -> "secret"
    ).foreach { conf =>
      assert(KeyTestAccess.withConf(spark, conf)(keyOf(read()).digest) == before, conf)
    }
  }

  test("the list of harmless configurations holds names that Spark knows, each once") {
    val known = KeyTestAccess.confDefaults().keySet
    val unknown = HarmlessConfs.Names.filterNot(known)
    // Older versions of Spark know fewer of them.
    assert(unknown.isEmpty || spark.version < "4.2", unknown)
    assert(HarmlessConfs.Names.intersect(SemanticConfs.Names.toSet).isEmpty)
  }

  test("explanations hide the values of secret configurations") {
    val conf = "spark.sql.someone.password" -> "hunter2"
    val key = KeyTestAccess.withConf(spark, conf)(keyOf(read()))
    val shown = KeyTestAccess.withConf(spark, conf)(key.explanation.get("confs"))
    assert(shown.get("spark.sql.someone.password").asText == Redaction.Hidden)
  }
}
