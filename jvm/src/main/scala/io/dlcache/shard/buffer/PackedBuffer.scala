package io.dlcache.shard.buffer

import io.dlcache.error.DlcacheErrors
import io.dlcache.shard.{LeafColumn, RowGroupLimits, ValueCopy, ValueType}
import org.apache.parquet.column.ColumnDescriptor
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters

/** Several columns of the row as one list of their values.
  *
  * @param elements types of the columns, which are stored alike
  * @param ordinals of the columns in the row
  */
final private[shard] class PackedBuffer(
    column: LeafColumn,
    elements: Seq[ValueType],
    names: Seq[String],
    ordinals: Array[Int],
    descriptor: ColumnDescriptor,
    limits: RowGroupLimits
) extends ListBuffer(column, elements.head, 1, descriptor, limits) {

  // Neighbours that are copied alike, each with its ordinals.
  private val runs = PackedBuffer.runs(elements.map(_.copy), ordinals)

  /** Every row has all elements, so where one starts is known. */
  override protected def hasIndex: Boolean = false

  override def add(row: SpecializedGetters, first: Int): Long = {
    requireNoNull(row)
    val at = values.append(ordinals.length * width)
    val lengthBytes = addLength(ordinals.length, 0)
    var to = at
    var i = 0
    while (i < runs.length) {
      runs(i).copy.each(row, runs(i).ordinals, values.data, to)
      to += runs(i).ordinals.length * copy.width
      i += 1
    }
    lengthBytes + addedValues(ordinals.length)
  }

  private def requireNoNull(row: SpecializedGetters): Unit = {
    var i = 0
    while (i < ordinals.length) {
      if (row.isNullAt(ordinals(i))) throw DlcacheErrors.nullInPack(column.path.head, names(i))
      i += 1
    }
  }
}

private[shard] object PackedBuffer {
  final private class Run(val copy: ValueCopy, val ordinals: Array[Int])

  private def runs(copies: Seq[ValueCopy], ordinals: Array[Int]): Array[Run] =
    copies.indices
      .foldLeft(List.empty[(ValueCopy, List[Int])]) {
        case ((copy, before) :: rest, i) if copy == copies(i) => (copy, ordinals(i) :: before) :: rest
        case (all, i) => (copies(i), List(ordinals(i))) :: all
      }
      .reverseIterator
      .map { case (copy, run) => new Run(copy, run.reverse.toArray) }
      .toArray
}
