package io.dlcache.key.fuzz

import java.nio.file.Files

import scala.util.{Success, Try}

import io.dlcache.key.{KeySuite, PlanNodes}
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.analysis.FunctionRegistry
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** The corpus has every operator that the key knows and every function of Spark. */
class CorpusSuite extends KeySuite {

  private lazy val session: SparkSession = spark.newSession()
  private lazy val corpus: Seq[Query] =
    Corpus.of(Tables.create(session, Files.createDirectory(scratch.resolve("corpus"))))
  private lazy val built: Seq[(Query, Try[LogicalPlan])] =
    corpus.map(query => query -> Try(query.build(session).queryExecution.analyzed))

  test("the corpus has 300 queries and more, all of which this Spark can analyze") {
    assert(corpus.map(_.name).distinct.length >= 300)
    info(s"${corpus.length} queries of its own, ${ExpressionQueries.documented.length} examples of functions")
    val failed =
      built.collect { case (query, plan) if plan.isFailure => s"${query.name}: ${plan.failed.get.getMessage}" }
    if (spark.version.startsWith("4.2")) assert(failed.isEmpty, failed.mkString("\n"))
  }

  /** Operators that no query of this corpus can have. */
  private val operatorsElsewhere = Map(
    "integration/test_fuzz_keys.py has them" ->
      Set(
        "FlatMapCoGroupsInArrow",
        "FlatMapCoGroupsInPandas",
        "FlatMapGroupsInArrow",
        "FlatMapGroupsInPandas",
        "MapInArrow",
        "MapInPandas",
        "PythonMapInArrow"
      ),
    "they need R" -> Set(
      "FlatMapGroupsInR",
      "FlatMapGroupsInRWithArrow",
      "MapPartitionsInR",
      "MapPartitionsInRWithArrow"
    ),
    "only the execution of a query makes them" -> Set("ReturnAnswer", "Tail"),
    "analysis takes it away but for recursive queries" -> Set("LimitAll"),
    "only streaming queries and typed aggregations of several steps have them" ->
      Set("AppendColumnsWithObject", "FlatMapGroupsWithState")
  )

  test("every plan operator that the key knows is in the corpus") {
    val found = built.collect { case (_, Success(plan)) => PlanSites.of(plan) }.flatten.collect {
      case Site(_, _, "", operator: LogicalPlan, _, _, _, _, _) => operator.getClass.getSimpleName
    }.toSet
    val missing = PlanNodes.Names -- found -- operatorsElsewhere.values.flatten
    assert(missing.isEmpty)
    info(s"${found.size} operators")
  }

  /** Functions that no query calls. */
  private val functionsElsewhere = Map(
    "they raise an error whenever they are evaluated" -> Set("raise_error"),
    "their packages are no part of Spark's own class path" ->
      Set("from_avro", "to_avro", "schema_of_avro", "from_protobuf", "to_protobuf"),
    "only metric views have it" -> Set("measure")
  )

  test("every built-in function is in the corpus or in an example of its documentation") {
    assume(spark.version.startsWith("4.2"), "the corpus is of Spark 4.2")
    val texts = built.collect { case (query, Success(_)) => query.name } ++ ExpressionQueries.documented.collect {
      case query if Try(query.build(session)).isSuccess => query.name
    }
    val called = texts.flatMap(text => "[a-z_0-9]+(?=\\s*\\()".r.findAllIn(text.toLowerCase)).toSet
    val all = texts.mkString("\n").toLowerCase
    val missing = FunctionRegistry.expressions.keySet.toSet.filterNot { name =>
      called(name) || (!name.matches("[a-z_0-9]{4,}") || Set(
        "case",
        "when",
        "like",
        "ilike",
        "rlike"
      )(name)) && all.contains(name)
    } -- functionsElsewhere.values.flatten
    assert(missing.isEmpty)
  }
}
