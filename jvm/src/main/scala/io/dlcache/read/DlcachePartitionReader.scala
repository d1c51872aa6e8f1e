package io.dlcache.read

import scala.util.control.NonFatal

import io.dlcache.error.DlcacheErrors
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.connector.metric.CustomTaskMetric
import org.apache.spark.sql.connector.read.PartitionReader

/** Reads the splits of one partition, one after another, in rows or in batches of them.
  *
  * A shard that is not the one that the manifest names is an error before the first of its rows.
  *
  * @param length of a file in bytes
  * @param open the rows of a split of the file
  * @param rows in one T
  */
final private[read] class DlcachePartitionReader[T](
    dataset: Path,
    splits: IndexedSeq[ShardSplit],
    length: Path => Long,
    open: (Path, ShardSplit) => Iterator[T],
    rows: T => Int
) extends PartitionReader[T] {

  private val remaining = splits.iterator
  private var file: Path = _
  private var source: Iterator[T] = Iterator.empty
  private var current: T = _
  private var rowsRead = 0L
  private var bytesRead = 0L

  override def next(): Boolean = {
    while (!guarded(source.hasNext)) {
      if (!remaining.hasNext) return false
      start(remaining.next())
    }
    current = guarded(source.next())
    rowsRead += rows(current)
    true
  }

  override def get(): T = current

  override def close(): Unit = closeSource()

  override def currentMetricsValues(): Array[CustomTaskMetric] = ReadMetrics.values(rowsRead, bytesRead)

  private def start(split: ShardSplit): Unit = {
    closeSource()
    file = new Path(dataset, split.path)
    val found = guarded(length(file))
    if (found != split.shardBytes)
      throw DlcacheErrors.shardDamaged(file.toString, s"it has $found bytes, and was written with ${split.shardBytes}")
    source = guarded(open(file, split))
    bytesRead += split.length
  }

  private def closeSource(): Unit = {
    source match {
      case closeable: AutoCloseable => closeable.close()
      // The reader registers itself with the task, which closes it at its end.
      case _ =>
    }
    source = Iterator.empty
  }

  private def guarded[R](body: => R): R =
    try body
    catch { case NonFatal(e) => throw ShardFailure.of(file.toString, e) }
}
