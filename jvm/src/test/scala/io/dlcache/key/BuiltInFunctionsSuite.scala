package io.dlcache.key

import scala.util.Try

/** Every example in the documentation of Spark's built-in functions has a durable key, but for those that cannot. */
class BuiltInFunctionsSuite extends KeySuite {

  /** Functions whose value is of the moment, the session, the partition, or random. */
  private val neverDurable = Set(
    "collations",
    "curdate",
    "current_catalog",
    "current_database",
    "current_date",
    "current_path",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "input_file_block_length",
    "input_file_block_start",
    "input_file_name",
    "java_method",
    "localtimestamp",
    "aes_encrypt",
    "monotonically_increasing_id",
    "now",
    "rand",
    "randn",
    "random",
    "reflect",
    "schema_of_xml",
    "session_user",
    "spark_partition_id",
    "try_reflect",
    "unix_timestamp",
    "user",
    "uuid",
    "shuffle",
    "randstr",
    "uniform"
  )

  private val Example = "(?s)> (SELECT .*?);".r

  test("built-in functions") {
    val functions = spark.sql("show system functions").collect().map(_.getString(0)).filter(_.matches("[a-z_0-9]+"))
    val outcomes = for {
      name <- functions.toSeq
      text = spark.sql(s"describe function extended `$name`").collect().map(_.getString(0)).mkString("\n")
      query <- Example.findAllMatchIn(text).map(_.group(1)).toSeq
      data <- Try(spark.sql(query)).toOption
    } yield {
      val key = keyOf(data)
      (name, query, key, keyOf(spark.sql(query)).digest == key.digest)
    }
    assert(outcomes.map(_._1).distinct.length > 400)
    val surprises = outcomes.collect {
      case (name, query, key, stable) if (key.scope == PlanKey.Session || !stable) && !neverDurable(name) =>
        s"$query: ${if (stable) "" else "another key each time; "}${reasons(key).mkString("; ")}"
    }
    assert(surprises.isEmpty, surprises.mkString("\n", "\n", "\n"))
    info(s"${outcomes.length} examples of ${outcomes.map(_._1).distinct.length} functions")

    // Examples with one key are the same function under two names: they give the same.
    val synonyms = outcomes.filter(_._3.scope == PlanKey.Durable).groupBy(_._3.digest).values.map(_.map(_._2).distinct)
    synonyms.filter(_.length > 1).foreach { queries =>
      val results = queries.map(query => spark.sql(query).collect().toSeq.toString)
      assert(results.distinct.length == 1, queries.mkString(" ~ "))
    }
  }
}
