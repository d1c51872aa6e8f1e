package io.dlcache.read.raw

import io.dlcache.read.ReadColumns
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** The rows of a split, one after another, straight from the bytes of its chunks. Each is made in the memory of the one
  * before, and an array in it is one copy: of a batch Spark would take array elements one at a time.
  *
  * @param fields what Spark reads of the columns
  */
final private[read] class RawRows(columns: Seq[RawColumn], fields: Seq[ReadColumns.Field], groups: RawGroups)
    extends Iterator[InternalRow]
    with AutoCloseable {

  private val makers =
    fields.map(field => RawField.of(field.shape, columns(field.source), groups.chunks(field.source))).toArray
  private val buffer = new RowBuffer(makers.length)
  private val made = new UnsafeRow(makers.length)

  override def hasNext: Boolean = groups.hasNext

  override def next(): InternalRow = {
    groups.advance(1): Unit
    buffer.start()
    var i = 0
    while (i < makers.length) {
      makers(i).write(groups.row, buffer, i)
      i += 1
    }
    made.pointTo(buffer.data, BYTE_ARRAY_OFFSET.toLong, buffer.size)
    made
  }

  override def close(): Unit = groups.close()
}
