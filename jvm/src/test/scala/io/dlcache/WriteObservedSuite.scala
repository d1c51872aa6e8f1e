package io.dlcache

import org.apache.spark.sql.{DataFrame, Observation}
import org.apache.spark.sql.functions.{col, count, lit}
import org.scalatest.funsuite.AnyFunSuite

/** `observe` and hits: a hit runs no query, so its metrics would never come. */
class WriteObservedSuite extends AnyFunSuite with WriteTest {

  private def observed(name: String): (DataFrame, Observation) = {
    val observation = new Observation(name)
    (spark.range(7).toDF().observe(observation, count(lit(1)).as("rows")), observation)
  }

  test("an observed query is refused before any work in the modes in which it could be a hit") {
    val path = newPath()
    val (data, _) = observed("refused")
    val nested = spark.range(3).join(data.filter("id > 1"), "id")
    for (
      mode <- Seq("errorifexists", "ignore"); query <- Seq(data, nested);
      options <- Seq(Map("key" -> "k"), Map.empty[String, String])
    ) {
      val count = stages {
        val e = refusal("DLCACHE_OBSERVED_QUERY") {
          query.write.format("dlcache").options(options).mode(mode).save(path)
        }
        assert(e.getMessage.contains("refused") && e.getMessage.contains("mode(\"overwrite\")"))
      }
      assert(count == 0 && !store(path).exists())
    }
  }

  test("overwrite and append always run the query, and its metrics arrive") {
    val path = newPath()
    Seq("overwrite", "overwrite", "append").foreach { mode =>
      val (data, observation) = observed(mode)
      data.write.format("dlcache").mode(mode).option("ifAppended", "append").save(path)
      assert(observation.get == Map("rows" -> 7L))
    }
    assert(ids(path).length == 14)
  }

  test("persisted rows are no observed query") {
    val (data, observation) = observed("persisted")
    data.persist()
    try {
      data.count()
      assert(observation.get == Map("rows" -> 7L))
      data.select(col("id")).write.format("dlcache").save(newPath())
    } finally data.unpersist(blocking = true): Unit
  }
}
