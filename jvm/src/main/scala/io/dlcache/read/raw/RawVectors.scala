package io.dlcache.read.raw

import io.dlcache.read.ReadOnlyColumn
import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarArray}
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET
import org.apache.spark.unsafe.types.UTF8String

/** A column of the batches of a row group, over the bytes of its chunk as they lie in the file. */
sealed abstract private[read] class RawVector(dataType: DataType) extends ReadOnlyColumn(dataType) {
  protected var first = 0

  /** The batch's first row is now the row `row` of the chunk. */
  def moveTo(row: Int): Unit = first = row

  override def hasNull: Boolean = false
  override def numNulls: Int = 0
  override def isNullAt(row: Int): Boolean = false
  override def close(): Unit = ()
}

/** One value of fixed width for each row.
  *
  * @param width of a value in bytes; 0 for booleans, which are packed from the lowest bit
  */
final private[read] class RawNumbers(dataType: DataType, width: Int, chunk: RawChunk) extends RawVector(dataType) {
  private def at(row: Int): Long = BYTE_ARRAY_OFFSET + (first + row).toLong * width

  override def getBoolean(row: Int): Boolean = (chunk.data((first + row) >> 3) >> ((first + row) & 7) & 1) != 0
  override def getByte(row: Int): Byte = getInt(row).toByte
  override def getShort(row: Int): Short = getInt(row).toShort
  override def getInt(row: Int): Int = Platform.getInt(chunk.data, at(row))
  override def getLong(row: Int): Long = Platform.getLong(chunk.data, at(row))
  override def getFloat(row: Int): Float = Platform.getFloat(chunk.data, at(row))
  override def getDouble(row: Int): Double = Platform.getDouble(chunk.data, at(row))
  override def getDecimal(row: Int, precision: Int, scale: Int): Decimal =
    Decimal.createUnsafe(if (width == 4) getInt(row).toLong else getLong(row), precision, scale)
}

/** Rows that are all lists of `length`. */
final private[read] class RawTensors(dataType: DataType, length: Int, elements: ColumnVector)
    extends RawVector(dataType) {
  override def getArray(row: Int): ColumnarArray = new ColumnarArray(elements, (first + row) * length, length)
}

/** Strings or bytes: a record of length and bytes for each row that is not null. */
final private[read] class RawRecords(dataType: DataType, chunk: RawChunk, mayBeNull: Boolean)
    extends RawVector(dataType) {
  private def start(row: Int): Int = chunk.starts(first + row)
  private def length(row: Int): Int = chunk.starts(first + row + 1) - start(row) - RawChunk.LengthBytes

  override def hasNull: Boolean = mayBeNull
  override def numNulls: Int = if (mayBeNull) Int.MaxValue else 0
  override def isNullAt(row: Int): Boolean = mayBeNull && length(row) < 0

  override def getUTF8String(row: Int): UTF8String =
    UTF8String.fromBytes(chunk.data, start(row) + RawChunk.LengthBytes, length(row))

  override def getBinary(row: Int): Array[Byte] = {
    val from = start(row) + RawChunk.LengthBytes
    java.util.Arrays.copyOfRange(chunk.data, from, from + length(row))
  }
}
