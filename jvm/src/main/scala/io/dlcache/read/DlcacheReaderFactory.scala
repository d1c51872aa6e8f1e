package io.dlcache.read

import io.dlcache.manifest.DatasetFiles
import io.dlcache.read.raw.{RawBatches, RawColumns, RawGroups, RawInput, RawRows}
import io.dlcache.spark.ParquetReads
import org.apache.hadoop.fs.Path
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.read.{InputPartition, PartitionReader, PartitionReaderFactory}
import org.apache.spark.sql.vectorized.ColumnarBatch
import org.apache.spark.util.SerializableConfiguration

/** Sent to the executors once for each scan: makes a reader for a partition there.
  *
  * @param raw the layout of the columns, if all are raw: their bytes are read then; else Spark's Parquet reader reads
  * @param isByRow whether rows are read, not batches
  * @param batchRows rows of a batch of raw bytes, at most
  */
final private[read] class DlcacheReaderFactory(
    reads: ParquetReads,
    raw: Option[RawColumns],
    isByRow: Boolean,
    batchRows: Int,
    columns: ReadColumns,
    conf: Broadcast[SerializableConfiguration]
) extends PartitionReaderFactory {

  override def supportColumnarReads(partition: InputPartition): Boolean = !isByRow

  override def createColumnarReader(partition: InputPartition): PartitionReader[ColumnarBatch] =
    reader[ColumnarBatch](partition, (file, split) => columns.batches(batches(file, split)), _.numRows())

  override def createReader(partition: InputPartition): PartitionReader[InternalRow] =
    reader[InternalRow](partition, (file, split) => rows(file, split), _ => 1)

  private def batches(file: Path, split: ShardSplit): Iterator[ColumnarBatch] = raw match {
    case Some(known) => new RawBatches(known.columns, groups(known, file, split), batchRows)
    case None => reads.batches(file, split)
  }

  private def rows(file: Path, split: ShardSplit): Iterator[InternalRow] = raw match {
    case Some(known) => new RawRows(known.columns, columns.fields, groups(known, file, split))
    case None => columns.rows(reads.rows(file, split))
  }

  private def groups(known: RawColumns, file: Path, split: ShardSplit): RawGroups = {
    val fs = DatasetFiles.fileSystem(file, conf.value.value)
    val input = new RawInput(fs.open(file), isLocal = fs.getUri.getScheme == "file")
    new RawGroups(known.columns, split.raw, input, file.toString)
  }

  private def reader[T](
      partition: InputPartition,
      open: (Path, ShardSplit) => Iterator[T],
      rows: T => Int
  ): PartitionReader[T] = {
    val DlcacheInputPartition(dataset, splits) = partition.asInstanceOf[DlcacheInputPartition]
    def length(file: Path) = DatasetFiles.fileSystem(file, conf.value.value).getFileStatus(file).getLen
    new DlcachePartitionReader[T](new Path(dataset), splits, length, open, rows)
  }
}
