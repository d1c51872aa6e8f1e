package io.dlcache.read.raw

import org.apache.spark.sql.types._
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** How a number of a chunk becomes the word of a field in Spark's rows. */
sealed abstract private[read] class RawNumber {
  def word(data: Array[Byte], index: Int): Long
}

private[read] object RawNumber {

  /** @param width of the number in the chunk, in bytes */
  def of(dataType: DataType, width: Int): RawNumber = (dataType, width) match {
    case (_, 8) => Words
    case (_: DecimalType, _) => Widened
    case (ByteType, _) => new Masked(0xffL)
    case (ShortType, _) => new Masked(0xffffL)
    case _ => new Masked(0xffffffffL)
  }

  /** Class numbers, which are `dataType` in Spark. */
  def floating(dataType: DataType): RawNumber = if (dataType == FloatType) ClassAsFloat else ClassAsDouble

  private object ClassAsDouble extends RawNumber {
    override def word(data: Array[Byte], index: Int): Long =
      java.lang.Double.doubleToRawLongBits(Words.word(data, index).toDouble)
  }

  private object ClassAsFloat extends RawNumber {
    override def word(data: Array[Byte], index: Int): Long =
      java.lang.Float.floatToRawIntBits(Words.word(data, index).toFloat) & 0xffffffffL
  }

  private object Words extends RawNumber {
    override def word(data: Array[Byte], index: Int): Long = Platform.getLong(data, BYTE_ARRAY_OFFSET + 8L * index)
  }

  private object Widened extends RawNumber {
    override def word(data: Array[Byte], index: Int): Long =
      Platform.getInt(data, BYTE_ARRAY_OFFSET + 4L * index).toLong
  }

  /** The lowest bytes of an int; the others of the word are zero. */
  final private class Masked(mask: Long) extends RawNumber {
    override def word(data: Array[Byte], index: Int): Long =
      Platform.getInt(data, BYTE_ARRAY_OFFSET + 4L * index) & mask
  }
}
