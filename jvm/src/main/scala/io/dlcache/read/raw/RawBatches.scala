package io.dlcache.read.raw

import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarBatch}

/** The rows of a split, one batch after another, straight from the bytes of its chunks.
  *
  * @param batchRows rows of a batch, at most
  */
final private[read] class RawBatches(columns: Seq[RawColumn], groups: RawGroups, batchRows: Int)
    extends Iterator[ColumnarBatch]
    with AutoCloseable {

  private val vectors = columns.zip(groups.chunks).map { case (column, chunk) => vector(column, chunk) }.toArray
  private val batch = new ColumnarBatch(vectors.map(vector => vector: ColumnVector))

  override def hasNext: Boolean = groups.hasNext

  override def next(): ColumnarBatch = {
    val count = groups.advance(batchRows)
    vectors.foreach(_.moveTo(groups.row))
    batch.setNumRows(count)
    batch
  }

  override def close(): Unit = groups.close()

  /** Arrays are read by row; a batch has those only that hold packed columns. */
  private def vector(column: RawColumn, chunk: RawChunk): RawVector = column.dataType match {
    case ArrayType(element, _) =>
      new RawTensors(column.dataType, column.shape.head, new RawNumbers(element, column.width, chunk))
    case _ if column.isRecords => new RawRecords(column.dataType, chunk, column.mayBeNull)
    case _ => new RawNumbers(column.dataType, column.width, chunk)
  }
}
