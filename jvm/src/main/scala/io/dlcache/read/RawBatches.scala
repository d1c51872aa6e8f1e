package io.dlcache.read

import java.util.NoSuchElementException

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.ChunkEntry
import org.apache.hadoop.fs.FSDataInputStream
import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarBatch}
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.{BYTE_ARRAY_OFFSET, INT_ARRAY_OFFSET}

/** The rows of a split, one batch after another, straight from the bytes of its chunks. It holds one row group, as
  * Spark's own reader does.
  *
  * @param name of the shard, for errors
  * @param batchRows rows of a batch, at most
  */
final private[read] class RawBatches(
    columns: Seq[RawColumn],
    groups: IndexedSeq[RawGroup],
    stream: FSDataInputStream,
    name: String,
    batchRows: Int
) extends Iterator[ColumnarBatch]
    with AutoCloseable {

  private val readers = columns.map(new RawReader(_, stream, name)).toArray
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

  override def close(): Unit = stream.close()

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
final private class RawReader(column: RawColumn, stream: FSDataInputStream, name: String) {
  private val chunk = new ChunkBytes
  private val index = new ChunkIndex

  val vector: RawVector =
    if (column.isRecords) new RawRecords(column.dataType, index, chunk, column.mayBeNull)
    else if (column.isIndexed) new RawLists(column.dataType, index, elements(column.dataType))
    else tensor(column.dataType, column.shape)

  private def tensor(dataType: DataType, shape: Seq[Int]): RawVector = (dataType, shape) match {
    case (ArrayType(element, _), length +: inner) => new RawTensors(dataType, length, tensor(element, inner))
    case _ => new RawNumbers(dataType, column.width, chunk)
  }

  private def elements(dataType: DataType): RawVector = dataType match {
    case ArrayType(element, _) => new RawNumbers(element, column.width, chunk)
    case other => throw new IllegalArgumentException(other.catalogString)
  }

  def load(entry: ChunkEntry, rows: Int): Unit = {
    val size = entry.valuesBytes.toInt
    if (chunk.data.length < size) chunk.data = new Array[Byte](size)
    stream.readFully(entry.valuesOffset, chunk.data, 0, size)
    if (column.isIndexed) loadIndex(entry, rows)
  }

  private def loadIndex(entry: ChunkEntry, rows: Int): Unit = {
    val bytes = new Array[Byte](4 * (rows + 1))
    stream.readFully(entry.indexOffset, bytes, 0, bytes.length)
    val starts = new Array[Int](rows + 1)
    Platform.copyMemory(bytes, BYTE_ARRAY_OFFSET.toLong, starts, INT_ARRAY_OFFSET.toLong, bytes.length.toLong)
    check(starts, entry.valuesBytes)
    index.starts = starts
  }

  /** What the index says is believed without another look: memory is read where it points. */
  private def check(starts: Array[Int], valuesBytes: Long): Unit = {
    val (unit, least) = if (column.isRecords) (1, RawRecords.LengthBytes) else (column.width, 0)
    var isGood = starts(0) == 0 && starts.last.toLong * unit <= valuesBytes
    var i = 1
    while (i < starts.length && isGood) {
      val length = starts(i) - starts(i - 1)
      isGood = length >= least || length == 0 && (!column.isRecords || column.mayBeNull)
      i += 1
    }
    if (!isGood) throw DlcacheErrors.shardDamaged(name, "a row index leads out of its chunk")
  }
}
