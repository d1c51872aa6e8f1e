package io.dlcache.key.fuzz

import scala.collection.mutable
import scala.util.hashing.MurmurHash3

import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.catalyst.expressions.PlanExpression
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** The rows of a query as text, in an order of their own: a multiset. */
final private[fuzz] case class Rows(lines: Seq[String]) {
  override def toString: String =
    s"${lines.length} rows: ${lines.take(12).mkString(" ")} (${MurmurHash3.orderedHash(lines)})"
}

private[fuzz] object Rows {
  def of(data: DataFrame): Rows = Rows(data.collect().map(textOf).toSeq.sorted)

  private def textOf(value: Any): String = value match {
    case null => "null"
    case row: Row => row.toSeq.map(textOf).mkString("[", ",", "]")
    case bytes: Array[Byte] => bytes.map(byte => f"$byte%02x").mkString("x'", "", "'")
    case values: scala.collection.Seq[_] => values.map(textOf).mkString("(", ",", ")")
    case map: scala.collection.Map[_, _] =>
      map.toSeq.map { case (key, value) => s"${textOf(key)}:${textOf(value)}" }.sorted.mkString("{", ",", "}")
    case text: String => "'" + text + "'"
    case number: Double => s"$number ${java.lang.Double.doubleToRawLongBits(number)}"
    case other => other.toString
  }

  /** What in `plan` allows several results, of which Spark gives one or the other as it meets the rows in one order or
    * another: docs/plan-key.md, "A key names one valid result".
    */
  def severalValid(plan: LogicalPlan): Option[String] = {
    val names = mutable.LinkedHashSet.empty[String]
    def visit(operator: LogicalPlan): Unit =
      operator.foreach { node =>
        names += node.getClass.getSimpleName
        node.expressions.foreach(_.foreach { expression =>
          names += expression.getClass.getSimpleName
          expression match {
            case subquery: PlanExpression[_] => visit(subquery.plan.asInstanceOf[LogicalPlan])
            case _ => ()
          }
        })
      }
    visit(plan)
    names.find(OrderDependent)
  }

  private val OrderDependent = Set(
    // Which of several rows.
    "GlobalLimit",
    "LocalLimit",
    "Offset",
    "Tail",
    "Deduplicate",
    "First",
    "Last",
    "AnyValue",
    "MaxBy",
    "MinBy",
    "Mode",
    // In which order.
    "CollectList",
    "CollectSet",
    "ListAgg",
    "HllSketchAgg",
    // Which of several rows that are equal for the window's order.
    "RowNumber",
    "NTile",
    "Lag",
    "Lead",
    "NthValue",
    // Sums of floating point numbers, and approximations.
    "Sum",
    "Average",
    "StddevSamp",
    "VarianceSamp",
    "ApproximatePercentile"
  )
}
