package org.apache.spark.sql

import org.apache.spark.SparkContext
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.classic.{Dataset => ClassicDataset, ExpressionUtils, SparkSession => ClassicSession}
import org.apache.spark.sql.execution.datasources.{FileIndex, HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat
import org.apache.spark.sql.types.{LongType, StructType}

/** What the suites of plan keys need of Spark's own package. */
object KeyTestAccess {

  /** Waits until the listeners have seen what has happened. */
  def drainListeners(context: SparkContext): Unit = context.listenerBus.waitUntilEmpty()

  def dataFrame(session: SparkSession, plan: LogicalPlan): DataFrame =
    ClassicDataset.ofRows(session.asInstanceOf[ClassicSession], plan)

  def column(expression: Expression): Column = ExpressionUtils.column(expression)

  /** A DataFrame that reads through `index`. */
  def read(session: SparkSession, index: FileIndex): DataFrame = {
    val schema = new StructType().add("a", LongType)
    val classic = session.asInstanceOf[ClassicSession]
    val relation =
      HadoopFsRelation(index, new StructType(), schema, None, new ParquetFileFormat, Map.empty)(classic)
    dataFrame(session, LogicalRelation(relation))
  }
}
