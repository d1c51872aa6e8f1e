package io.dlcache.write

import java.util.UUID

import io.dlcache.manifest.ShardName
import io.dlcache.shard.{ShardLayout, ShardOptions}
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.write.{DataWriter, DataWriterFactory}
import org.apache.spark.util.SerializableConfiguration

/** All that a task needs; sent to the executors.
  *
  * @param job in the names of shards
  * @param dataset as text, since Hadoop's paths are not serializable in all versions
  */
final private[write] class ShardWriterFactory(
    job: UUID,
    dataset: String,
    conf: SerializableConfiguration,
    layout: ShardLayout,
    options: ShardOptions,
    targetBytes: Option[Long]
) extends DataWriterFactory {

  override def createWriter(partition: Int, task: Long): DataWriter[InternalRow] =
    new ShardDataWriter(
      name = ShardName.of(job, partition, _),
      partition,
      new Path(dataset),
      conf.value,
      layout,
      options,
      targetBytes.getOrElse(Long.MaxValue)
    )
}
