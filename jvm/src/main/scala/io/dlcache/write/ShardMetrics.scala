package io.dlcache.write

import org.apache.spark.sql.connector.metric.{CustomMetric, CustomSumMetric, CustomTaskMetric}

/** What Spark's UI shows of a write. Spark makes instances of these classes by name. */
final private[dlcache] class RowsWritten extends CustomSumMetric {
  override def name(): String = "rows"
  override def description(): String = "rows written"
}

final private[dlcache] class BytesWritten extends CustomSumMetric {
  override def name(): String = "bytes"
  override def description(): String = "bytes of shards"
}

final private[dlcache] class ShardsWritten extends CustomSumMetric {
  override def name(): String = "shards"
  override def description(): String = "shards written"
}

private[write] object ShardMetrics {
  def supported: Array[CustomMetric] = Array(new RowsWritten, new BytesWritten, new ShardsWritten)

  def values(rows: Long, bytes: Long, shards: Long): Array[CustomTaskMetric] =
    Array(Value("rows", rows), Value("bytes", bytes), Value("shards", shards))

  final private case class Value(override val name: String, override val value: Long) extends CustomTaskMetric
}
