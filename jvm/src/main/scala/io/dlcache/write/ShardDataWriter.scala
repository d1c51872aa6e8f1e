package io.dlcache.write

import java.util

import scala.collection.mutable.ArrayBuffer

import io.dlcache.shard.{ShardLayout, ShardOptions, ShardWriter}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.metric.CustomTaskMetric
import org.apache.spark.sql.connector.write.{DataWriter, WriterCommitMessage}

/** Writes the rows of one partition to one shard after another; without rows, to none.
  *
  * @param name of the shard with this number, relative to the dataset
  * @param targetBytes a shard that has them is closed before the next row
  */
final private[write] class ShardDataWriter(
    name: Int => String,
    partition: Int,
    dataset: Path,
    conf: Configuration,
    layout: ShardLayout,
    options: ShardOptions,
    targetBytes: Long
) extends DataWriter[InternalRow] {
  import ShardDataWriter.Open

  private val closed = ArrayBuffer.empty[WrittenShard]
  private var current: Option[Open] = None
  private var isOver = false
  private var rows = 0L

  override def write(row: InternalRow): Unit = {
    val writer = current match {
      case Some(shard) if shard.writer.bytes < targetBytes && !shard.writer.mustRoll => shard.writer
      case _ => roll()
    }
    writer.write(row)
    rows += 1
  }

  /** Spark asks for leave to commit, and reads the metrics for the last time, when this returns. A task that gets leave
    * has all its files then, so that the job's abort finds them; a task that does not deletes them.
    */
  override def writeAll(rows: util.Iterator[InternalRow]): Unit = {
    super.writeAll(rows)
    closeCurrent()
  }

  override def commit(): WriterCommitMessage = {
    closeCurrent()
    isOver = true
    ShardCommitMessage(partition, rows, closed.toSeq, layout.rounded)
  }

  override def abort(): Unit = {
    isOver = true
    try current.foreach(_.writer.abort())
    finally ShardFiles.discard(dataset, conf, closed.toSeq.map(_.path))
  }

  /** Spark also calls this after `commit` and `abort`. */
  override def close(): Unit = if (!isOver) abort()

  override def currentMetricsValues(): Array[CustomTaskMetric] = ShardMetrics.values(
    rows = closed.map(_.summary.rows).sum + current.fold(0L)(_.writer.rows),
    bytes = closed.map(_.summary.bytes).sum + current.fold(0L)(_.writer.bytes),
    shards = closed.size.toLong + current.size
  )

  private def roll(): ShardWriter = {
    closeCurrent()
    val path = name(closed.size)
    val writer = new ShardWriter(new Path(dataset, path), conf, layout, options)
    current = Some(Open(path, writer))
    writer
  }

  private def closeCurrent(): Unit = {
    current.foreach(shard => closed += WrittenShard(shard.path, shard.writer.close()))
    current = None
  }
}

private[write] object ShardDataWriter {
  final private case class Open(path: String, writer: ShardWriter)
}
