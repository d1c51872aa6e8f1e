package io.dlcache.read.raw

import java.util.Arrays

import org.apache.spark.sql.catalyst.expressions.{UnsafeArrayData, UnsafeRow}
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET
import org.apache.spark.unsafe.bitset.BitSetMethods

/** The memory of a row as `UnsafeRow` has it: a bit for each null, a word for each field, and what has no fixed width. All
  * that lies in it starts at a multiple of 8, and is filled up with zeros.
  *
  * @param fields of the row
  */
final private[read] class RowBuffer(fields: Int) {
  private val fixed = RowBuffer.fixedBytes(fields)

  var data: Array[Byte] = new Array[Byte](fixed)
  var size: Int = fixed

  /** Starts a new row. */
  def start(): Unit = {
    clear(0, fixed - 8 * fields)
    size = fixed
  }

  def setNull(field: Int): Unit = {
    BitSetMethods.set(data, BYTE_ARRAY_OFFSET.toLong, field)
    setWord(field, 0)
  }

  def setWord(field: Int, word: Long): Unit = putLong(fixed - 8 * (fields - field), word)

  /** Says that the field lies from `from` up to the end of what was appended. */
  def setRange(field: Int, from: Int, bytes: Int): Unit = setWord(field, from.toLong << 32 | bytes)

  /** Makes room for `bytes` behind what is there, filled up with zeros, and returns where it starts. */
  def append(bytes: Int): Int = {
    val from = size
    val until = Math.addExact(from, RowBuffer.roundUp(bytes))
    if (until > data.length)
      data = Arrays.copyOf(data, math.max(until.toLong, math.min(2L * data.length, Int.MaxValue - 16)).toInt)
    if (until > from) putLong(until - 8, 0)
    size = until
    from
  }

  /** Starts an array of `count` elements, none of which is null, and returns where they go. */
  def appendArray(count: Int, elementBytes: Int): Int = {
    val header = UnsafeArrayData.calculateHeaderPortionInBytes(count)
    val from = append(Math.toIntExact(header + count.toLong * elementBytes))
    putLong(from, count.toLong)
    clear(from + 8, header - 8)
    from + header
  }

  /** Starts a row of so many fields inside this one, none of which is null yet, and returns where it starts. */
  def appendRow(fields: Int): Int = {
    val from = append(RowBuffer.fixedBytes(fields))
    clear(from, RowBuffer.fixedBytes(fields))
    from
  }

  def putLong(at: Int, value: Long): Unit = Platform.putLong(data, BYTE_ARRAY_OFFSET.toLong + at, value)

  private def clear(from: Int, bytes: Int): Unit = {
    var i = 0
    while (i < bytes) {
      putLong(from + i, 0)
      i += 8
    }
  }
}

private[read] object RowBuffer {

  /** Of the nulls and the words of so many fields. */
  def fixedBytes(fields: Int): Int = UnsafeRow.calculateBitSetWidthInBytes(fields) + 8 * fields

  private def roundUp(bytes: Int): Int = Math.addExact(bytes, 7) & ~7
}
