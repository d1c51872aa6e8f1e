package io.dlcache.read

import io.dlcache.manifest.DatasetFiles
import io.dlcache.spark.ParquetReads
import org.apache.hadoop.fs.Path
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.read.{InputPartition, PartitionReader, PartitionReaderFactory}
import org.apache.spark.sql.vectorized.ColumnarBatch
import org.apache.spark.util.SerializableConfiguration

/** Sent to the executors once for each scan: makes a reader for a partition there. */
final private[read] class DlcacheReaderFactory(
    reads: ParquetReads,
    vectors: VectorColumns,
    conf: Broadcast[SerializableConfiguration]
) extends PartitionReaderFactory {

  override def supportColumnarReads(partition: InputPartition): Boolean = reads.columnar

  override def createColumnarReader(partition: InputPartition): PartitionReader[ColumnarBatch] =
    reader[ColumnarBatch](partition, (file, split) => vectors.batches(reads.batches(file, split)), _.numRows())

  override def createReader(partition: InputPartition): PartitionReader[InternalRow] =
    reader[InternalRow](partition, (file, split) => vectors.rows(reads.rows(file, split)), _ => 1)

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
