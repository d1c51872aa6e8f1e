package io.dlcache.read

import java.util.NoSuchElementException

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** The rows of a split, one after another, straight from the bytes of its chunks. Each is made in the memory of the one
  * before, and an array in it is one copy: of a batch Spark would take array elements one at a time. Like [[RawBatches]] it
  * holds one row group.
  *
  * @param fields what Spark reads of the columns
  * @param name of the shard, for errors
  */
final private[read] class RawRows(
    columns: Seq[RawColumn],
    fields: Seq[ReadColumns.Field],
    groups: IndexedSeq[RawGroup],
    input: RawInput,
    name: String
) extends Iterator[InternalRow]
    with AutoCloseable {

  private val chunks = columns.map(new RawChunk(_, input, name)).toArray
  private val makers =
    fields.map(field => RawField.of(field.shape, columns(field.source), chunks(field.source))).toArray
  private val buffer = new RowBuffer(makers.length)
  private val made = new UnsafeRow(makers.length)
  private var nextGroup = 0
  private var rows = 0
  private var row = 0

  override def hasNext: Boolean = row < rows || nextGroup < groups.size

  override def next(): InternalRow = {
    if (!hasNext) throw new NoSuchElementException(name)
    if (row == rows) load(groups(nextGroup))
    buffer.start()
    var i = 0
    while (i < makers.length) {
      makers(i).write(row, buffer, i)
      i += 1
    }
    row += 1
    made.pointTo(buffer.data, BYTE_ARRAY_OFFSET.toLong, buffer.size)
    made
  }

  override def close(): Unit = input.close()

  private def load(group: RawGroup): Unit = {
    var i = 0
    while (i < chunks.length) {
      chunks(i).load(group.chunks(i), group.rows)
      i += 1
    }
    nextGroup += 1
    rows = group.rows
    row = 0
  }
}
