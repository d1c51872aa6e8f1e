package io.dlcache.read

import java.util.NoSuchElementException

import io.dlcache.manifest.ChunkEntry
import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarBatch}

/** The rows of a split, one batch after another, straight from the bytes of its chunks. It holds one row group, as
  * Spark's own reader does.
  *
  * @param name of the shard, for errors
  * @param batchRows rows of a batch, at most
  */
final private[read] class RawBatches(
    columns: Seq[RawColumn],
    groups: IndexedSeq[RawGroup],
    input: RawInput,
    name: String,
    batchRows: Int
) extends Iterator[ColumnarBatch]
    with AutoCloseable {

  private val readers = columns.map(new RawReader(_, input, name)).toArray
  private val batch = new ColumnarBatch(readers.map(_.vector: ColumnVector))
  private var nextGroup = 0
  private var rows = 0
  private var row = 0

  override def hasNext: Boolean = row < rows || nextGroup < groups.size

  override def next(): ColumnarBatch = {
    if (!hasNext) throw new NoSuchElementException(name)
    if (row == rows) load(groups(nextGroup))
    val count = math.min(batchRows, rows - row)
    readers.foreach(_.vector.moveTo(row))
    row += count
    batch.setNumRows(count)
    batch
  }

  override def close(): Unit = input.close()

  private def load(group: RawGroup): Unit = {
    var i = 0
    while (i < readers.length) {
      readers(i).load(group.chunks(i), group.rows)
      i += 1
    }
    nextGroup += 1
    rows = group.rows
    row = 0
  }
}

/** Reads the chunks of one column, each into the memory of the one before. */
final private class RawReader(column: RawColumn, input: RawInput, name: String) {
  private val chunk = new RawChunk(column, input, name)

  /** Arrays are read by row; a batch has those only that hold packed columns. */
  val vector: RawVector = column.dataType match {
    case ArrayType(element, _) =>
      new RawTensors(column.dataType, column.shape.head, new RawNumbers(element, column.width, chunk))
    case _ if column.isRecords => new RawRecords(column.dataType, chunk, column.mayBeNull)
    case _ => new RawNumbers(column.dataType, column.width, chunk)
  }

  def load(entry: ChunkEntry, rows: Int): Unit = chunk.load(entry, rows)
}
