package io.dlcache.read.raw

import org.apache.spark.sql.types._
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** Copies numbers of a chunk into arrays of Spark's rows.
  *
  * @param width of an element there, in bytes
  */
sealed abstract private[read] class Elements(val width: Int) {

  /** Copies `count` elements, from the element `start` of the chunk on, to `to(at)` and following. */
  def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit
}

private[read] object Elements {
  def of(column: RawColumn, chunk: RawChunk): Elements = (innermost(column.dataType), column.width) match {
    case (ByteType, _) => new ByteElements(chunk)
    case (ShortType, _) => new ShortElements(chunk)
    case (_: DecimalType, 4) => new DecimalElements(chunk)
    case (_, width) => new PlainElements(chunk, width)
  }

  private def innermost(dataType: DataType): DataType = dataType match {
    case ArrayType(element, _) => innermost(element)
    case other => other
  }
}

final private class PlainElements(chunk: RawChunk, width: Int) extends Elements(width) {
  override def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit =
    System.arraycopy(chunk.data, start * width, to, at, count * width)
}

final private class ByteElements(chunk: RawChunk) extends Elements(1) {
  override def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      to(at + i) = Platform.getByte(chunk.data, BYTE_ARRAY_OFFSET + 4L * (start + i))
      i += 1
    }
  }
}

final private class ShortElements(chunk: RawChunk) extends Elements(2) {
  override def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      val value = Platform.getShort(chunk.data, BYTE_ARRAY_OFFSET + 4L * (start + i))
      Platform.putShort(to, BYTE_ARRAY_OFFSET + at + 2L * i, value)
      i += 1
    }
  }
}

/** Decimals that are ints in the chunk and longs in Spark's rows. */
final private class DecimalElements(chunk: RawChunk) extends Elements(8) {
  override def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      val value = Platform.getInt(chunk.data, BYTE_ARRAY_OFFSET + 4L * (start + i)).toLong
      Platform.putLong(to, BYTE_ARRAY_OFFSET + at + 8L * i, value)
      i += 1
    }
  }
}

/** Floating numbers of either width as doubles. */
final private class WideningElements(chunk: RawChunk, width: Int) extends Elements(8) {
  override def copy(start: Int, count: Int, to: Array[Byte], at: Int): Unit =
    if (width == 8) System.arraycopy(chunk.data, start * 8, to, at, count * 8)
    else {
      var i = 0
      while (i < count) {
        val value = Platform.getFloat(chunk.data, BYTE_ARRAY_OFFSET + 4L * (start + i)).toDouble
        Platform.putDouble(to, BYTE_ARRAY_OFFSET + at + 8L * i, value)
        i += 1
      }
    }
}
