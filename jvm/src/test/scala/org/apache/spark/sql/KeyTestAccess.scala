package org.apache.spark.sql

import scala.jdk.CollectionConverters._

import org.apache.spark.SparkContext
import org.apache.spark.internal.config.ConfigEntry
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.classic.{Dataset => ClassicDataset, ExpressionUtils, SparkSession => ClassicSession}
import org.apache.spark.sql.execution.datasources.{FileFormat, FileIndex, HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat
import org.apache.spark.sql.internal.{SQLConf, StaticSQLConf}
import org.apache.spark.sql.types.{LongType, StructType}

/** What the suites of plan keys need of Spark's own package. */
object KeyTestAccess {

  /** Waits until the listeners have seen what has happened. */
  def drainListeners(context: SparkContext): Unit = context.listenerBus.waitUntilEmpty()

  def dataFrame(session: SparkSession, plan: LogicalPlan): DataFrame =
    ClassicDataset.ofRows(session.asInstanceOf[ClassicSession], plan)

  /** A setting of the registry of Spark SQL. */
  final case class Setting(name: String, default: String, doc: String)

  def settings: Seq[Setting] = entries.map { entry =>
    Setting(entry.key, entry.defaultValueString, entry.doc)
  }

  /** By name: up to Spark 4.0 the registry is closed to this package. */
  private def entries: Seq[ConfigEntry[_]] = SQLConf.getClass
    .getMethod("getConfigEntries")
    .invoke(SQLConf)
    .asInstanceOf[java.util.Collection[ConfigEntry[_]]]
    .asScala
    .toSeq

  /** The as-of join that pandas on Spark uses. */
  def joinAsOf(
      left: DataFrame,
      right: DataFrame,
      leftOf: String,
      rightOf: String,
      kind: String,
      exact: Boolean,
      direction: String
  ): DataFrame = left.asInstanceOf[ClassicDataset[Row]].joinAsOf(
    right.asInstanceOf[ClassicDataset[Row]],
    left(leftOf),
    right(rightOf),
    Nil,
    kind,
    null,
    exact,
    direction
  )

  def column(expression: Expression): Column = ExpressionUtils.column(expression)

  /** A DataFrame that reads through `index`. */
  def read(session: SparkSession, index: FileIndex, format: FileFormat = new ParquetFileFormat): DataFrame = {
    val schema = new StructType().add("a", LongType)
    val classic = session.asInstanceOf[ClassicSession]
    val relation = HadoopFsRelation(index, new StructType(), schema, None, format, Map.empty)(classic)
    dataFrame(session, LogicalRelation(relation))
  }

  /** The defaults of all configurations that Spark has registered, as text. */
  def confDefaults(): Map[String, String] = {
    StaticSQLConf.WAREHOUSE_PATH: Unit
    entries.map(entry => entry.key -> entry.defaultValueString).toMap
  }

  /** Also static configurations, and values that Spark would refuse. */
  def withConf[A](session: SparkSession, conf: (String, String))(body: => A): A = {
    val settings = session.asInstanceOf[ClassicSession].sessionState.conf.settings
    val before = settings.put(conf._1, conf._2)
    try body
    finally if (before == null) settings.remove(conf._1): Unit else settings.put(conf._1, before): Unit
  }
}
