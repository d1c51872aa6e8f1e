package io.dlcache.read.raw

import io.dlcache.read.{ReadColumns, VectorColumn}
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET
import org.apache.spark.unsafe.bitset.BitSetMethods

/** Makes one field of each row of the bytes of a chunk. */
sealed private[read] trait RawField {

  /** Writes the field of the row `row` of the chunk as the field `field` of the buffer's row. */
  def write(row: Int, to: RowBuffer, field: Int): Unit
}

private[read] object RawField {

  /** @param shape what Spark reads of the column
    * @param chunk of the column
    */
  def of(shape: ReadColumns.Shape, column: RawColumn, chunk: RawChunk): RawField = shape match {
    case ReadColumns.AsElement(index, dataType) =>
      new NumberField(chunk, RawNumber.of(dataType, column.width), column.shape.product, index)
    case ReadColumns.AsFloating(dataType) => new NumberField(chunk, RawNumber.floating(dataType), 1, 0)
    case ReadColumns.AsVector(_) => new VectorField(chunk, column, new WideningElements(chunk, column.width))
    case _ if column.isRecords => new RecordField(chunk, column.mayBeNull)
    case _ if column.dataType.isInstanceOf[ArrayType] => new ListField(column, chunk)
    case _ if column.width == 0 => new BitField(chunk)
    case _ => new NumberField(chunk, RawNumber.of(column.dataType, column.width), 1, 0)
  }
}

/** Numbers of which each row of the chunk has `perRow`; the field is the one at `index`. */
final private class NumberField(chunk: RawChunk, number: RawNumber, perRow: Int, index: Int) extends RawField {
  override def write(row: Int, to: RowBuffer, field: Int): Unit =
    to.setWord(field, number.word(chunk.data, row * perRow + index))
}

/** Booleans, packed from the lowest bit. */
final private class BitField(chunk: RawChunk) extends RawField {
  override def write(row: Int, to: RowBuffer, field: Int): Unit =
    to.setWord(field, (chunk.data(row >> 3) >> (row & 7) & 1).toLong)
}

/** Strings or bytes: a record of length and bytes for each row that is not null. */
final private class RecordField(chunk: RawChunk, mayBeNull: Boolean) extends RawField {
  override def write(row: Int, to: RowBuffer, field: Int): Unit = {
    val start = chunk.starts(row)
    val length = chunk.starts(row + 1) - start - RawChunk.LengthBytes
    if (mayBeNull && length < 0) to.setNull(field)
    else {
      val from = to.append(length)
      System.arraycopy(chunk.data, start + RawChunk.LengthBytes, to.data, from, length)
      to.setRange(field, from, length)
    }
  }
}

/** Lists of any length, or tensors of any depth. */
final private class ListField(column: RawColumn, chunk: RawChunk) extends RawField {
  private val shape = column.shape.toArray
  private val perRow = shape.product
  private val elements = Elements.of(column, chunk)

  override def write(row: Int, to: RowBuffer, field: Int): Unit = {
    val from = to.size
    if (column.isIndexed) list(chunk.starts(row), chunk.starts(row + 1) - chunk.starts(row), to)
    else tensor(0, row * perRow, to): Unit
    to.setRange(field, from, to.size - from)
  }

  private def list(start: Int, count: Int, to: RowBuffer): Unit = {
    val at = to.appendArray(count, elements.width)
    elements.copy(start, count, to.data, at)
  }

  /** Writes the array at this depth whose values start at the element `start`, and returns where the next one's do. */
  private def tensor(depth: Int, start: Int, to: RowBuffer): Int =
    if (depth == shape.length - 1) {
      list(start, shape(depth), to)
      start + shape(depth)
    } else {
      val array = to.size
      val words = to.appendArray(shape(depth), 8)
      var next = start
      var i = 0
      while (i < shape(depth)) {
        val from = to.size
        next = tensor(depth + 1, next, to)
        to.putLong(words + 8 * i, (from - array).toLong << 32 | (to.size - from))
        i += 1
      }
      next
    }
}

/** Dense vectors: a struct of the type, two nulls, and an array of doubles. */
final private class VectorField(chunk: RawChunk, column: RawColumn, elements: Elements) extends RawField {
  private val perRow = column.shape.product

  override def write(row: Int, to: RowBuffer, field: Int): Unit = {
    val (start, count) =
      if (column.isIndexed) (chunk.starts(row), chunk.starts(row + 1) - chunk.starts(row)) else (row * perRow, perRow)
    val from = to.appendRow(VectorField.Fields)
    val words = from + RowBuffer.fixedBytes(VectorField.Fields) - 8 * VectorField.Fields
    BitSetMethods.set(to.data, BYTE_ARRAY_OFFSET.toLong + from, 1)
    BitSetMethods.set(to.data, BYTE_ARRAY_OFFSET.toLong + from, 2)
    to.putLong(words, ReadColumns.DenseVector.toLong)
    val values = to.size
    val at = to.appendArray(count, elements.width)
    elements.copy(start, count, to.data, at)
    to.putLong(words + 8 * 3, (values - from).toLong << 32 | (to.size - values))
    to.setRange(field, from, to.size - from)
  }
}

private object VectorField {
  val Fields: Int = VectorColumn.SqlType.length
}
