package io.dlcache.write

import org.apache.spark.sql.connector.metric.CustomMetric
import org.apache.spark.sql.connector.write.{BatchWrite, Write, WriteBuilder}

final private[write] class ShardWriteBuilder(job: ShardJob) extends WriteBuilder {
  override def build(): Write = new ShardWrite(job)
}

final private[write] class ShardWrite(job: ShardJob) extends Write {

  override def description(): String = s"dlcache shards ($job)"

  override def toBatch: BatchWrite = new ShardBatchWrite(job)

  override def supportedCustomMetrics(): Array[CustomMetric] = ShardMetrics.supported

  override def toString: String = description()
}
