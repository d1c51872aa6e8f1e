package io.dlcache.read

import org.apache.spark.sql.connector.metric.{CustomMetric, CustomSumMetric, CustomTaskMetric}

/** What a scan shows in the Spark UI. The classes are public, and made by their names there. */
private[read] object ReadMetrics {
  val Rows = "dlcacheRowsRead"
  val Bytes = "dlcacheShardBytesRead"

  val all: Array[CustomMetric] = Array(new RowsReadMetric, new ShardBytesReadMetric)

  def values(rows: Long, bytes: Long): Array[CustomTaskMetric] = Array(TaskValue(Rows, rows), TaskValue(Bytes, bytes))

  final private case class TaskValue(override val name: String, override val value: Long) extends CustomTaskMetric
}

class RowsReadMetric extends CustomSumMetric {
  override def name(): String = ReadMetrics.Rows
  override def description(): String = "rows in the row groups read"
}

class ShardBytesReadMetric extends CustomSumMetric {
  override def name(): String = ReadMetrics.Bytes
  override def description(): String = "bytes of the shard parts read, all columns"
}
