package io.dlcache.spark

import org.apache.spark.sql.catalyst.expressions.{AttributeReference, Expression, GetStructField, SubqueryExpression}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.types.StructType

/** The part of a file that a row comes from, in the hidden column `_metadata`: it depends on how Spark splits files. */
private[dlcache] object FileBlocks {
  private val Fields = Set("file_block_start", "file_block_length")

  /** A column that is used as a whole counts as if its blocks were read. Persisted plans are not looked into. */
  def areReadBy(plan: LogicalPlan): Boolean =
    plan.exists(node => node.children.nonEmpty && node.expressions.exists(areRead))

  private def areRead(expression: Expression): Boolean = expression match {
    case field: GetStructField if holdsBlocks(field.child) => Fields(field.childSchema(field.ordinal).name)
    case subquery: SubqueryExpression => areReadBy(subquery.plan) || subquery.children.exists(areRead)
    case other => holdsBlocks(other) || other.children.exists(areRead)
  }

  private def holdsBlocks(expression: Expression): Boolean = expression match {
    case column: AttributeReference =>
      column.dataType match {
        case struct: StructType => struct.fieldNames.exists(Fields)
        case _ => false
      }
    case _ => false
  }
}
