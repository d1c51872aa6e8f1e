package io.dlcache.spark

import java.util.Base64

import scala.collection.mutable
import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.ObjectMapper
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.{ExternalRDD, LogicalRDD}

/** The Python functions of a plan, as Spark holds them: `SimplePythonFunction`, which is Spark's own. */
private[dlcache] object PythonFunctions {
  private lazy val mapper = new ObjectMapper

  def isFunction(value: Any): Boolean = value.getClass.getName == "org.apache.spark.api.python.SimplePythonFunction"

  /** The pickled function, if `value` is one. */
  def commandOf(value: Any): Option[Array[Byte]] = value match {
    case function: Product if isFunction(function) =>
      field(function, "command").flatMap(PythonRows.allOf[Byte]).map(_.toArray)
    case _ => None
  }

  /** For Python in the driver: the functions in the plan of `data`, each once, as a JSON array of objects.
    * `command` is the pickle in Base64, `broadcasts` has the file of each broadcast variable by its number.
    */
  def json(data: DataFrame): String =
    mapper.writeValueAsString(of(data.queryExecution.analyzed).distinct.map(describe).asJava)

  private def of(plan: LogicalPlan): Seq[Product] =
    plan.collectWithSubqueries { case node => node }.flatMap {
      case rdd: LogicalRDD => of(rdd.rdd)
      case rdd: ExternalRDD[_] => of(rdd.rdd)
      case node =>
        node.expressions.flatMap(_.collect { case expression => expression.productIterator.toSeq }).flatten.collect {
          case function: Product if isFunction(function) => function
        }
    }

  /** Those in the lineage of `rdd`. */
  def of(rdd: RDD[_]): Seq[Product] = {
    val seen = mutable.LinkedHashMap.empty[Int, RDD[_]]
    val open = mutable.Stack[RDD[_]](rdd)
    while (open.nonEmpty) {
      val next = open.pop()
      if (!seen.contains(next.id)) {
        seen(next.id) = next
        open.pushAll(next.dependencies.map(_.rdd))
      }
    }
    seen.values.toSeq.flatMap(PythonRows.fieldOf(_, "org.apache.spark.api.python.PythonRDD", "func")).collect {
      case function: Product => function
    }
  }

  private def describe(function: Product): java.util.Map[String, AnyRef] = {
    val command = Base64.getEncoder.encodeToString(commandOf(function).getOrElse(Array.emptyByteArray))
    Map[String, AnyRef]("command" -> command, "broadcasts" -> broadcastsOf(function).asJava).asJava
  }

  private def broadcastsOf(function: Product): Map[String, String] =
    field(function, "broadcastVars") match {
      case Some(broadcasts: java.util.List[_]) =>
        broadcasts.asScala.collect { case broadcast: Broadcast[_] => broadcast }.flatMap { broadcast =>
          val content = broadcast.value.asInstanceOf[AnyRef]
          content.getClass.getMethods.find(_.getName == "path").map { method =>
            broadcast.id.toString -> String.valueOf(method.invoke(content))
          }
        }.toMap
      case _ => Map.empty
    }

  private def field(function: Product, name: String): Option[Any] =
    function.productElementNames.zip(function.productIterator).collectFirst { case (`name`, value) => value }
}
