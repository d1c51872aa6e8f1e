package io.dlcache.shard

import java.lang.{Double => JDouble}

import io.dlcache.error.DlcacheErrors
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** Copies values that are not null from Spark's rows and arrays into a buffer, as they will lie in the page (booleans one
  * byte each until the flush packs them).
  *
  * @param width bytes of one value in the buffer
  */
sealed abstract private[dlcache] class ValueCopy(val width: Int) extends Serializable {

  /** Copies the value of `from` at `ordinal` to `to(at)` and following. */
  def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit

  /** Copies the values of `from` at `ordinals` to `to(at)` and following, one after another. */
  def each(from: SpecializedGetters, ordinals: Array[Int], to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < ordinals.length) {
      one(from, ordinals(i), to, at + i * width)
      i += 1
    }
  }

  /** Copies `count` values that lie in memory as the elements of an `UnsafeArrayData` do. */
  def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit
}

/** Values that an `UnsafeArrayData` holds byte for byte as the page will. */
sealed abstract private[shard] class BulkCopy(width: Int) extends ValueCopy(width) {
  final override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit =
    Platform.copyMemory(base, offset, to, BYTE_ARRAY_OFFSET + at, count.toLong * width)
}

private[shard] case object BooleanCopy extends BulkCopy(1) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    to(at) = if (from.getBoolean(ordinal)) 1 else 0
}

private[shard] case object IntCopy extends BulkCopy(4) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putInt(to, BYTE_ARRAY_OFFSET + at, from.getInt(ordinal))
}

private[shard] case object LongCopy extends BulkCopy(8) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putLong(to, BYTE_ARRAY_OFFSET + at, from.getLong(ordinal))
}

private[shard] case object FloatCopy extends BulkCopy(4) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putFloat(to, BYTE_ARRAY_OFFSET + at, from.getFloat(ordinal))
}

private[shard] case object DoubleCopy extends BulkCopy(8) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putDouble(to, BYTE_ARRAY_OFFSET + at, from.getDouble(ordinal))
}

final private[shard] class DecimalToLongCopy(precision: Int, scale: Int) extends BulkCopy(8) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putLong(to, BYTE_ARRAY_OFFSET + at, from.getDecimal(ordinal, precision, scale).toUnscaledLong)
}

final private[shard] class DecimalToIntCopy(precision: Int, scale: Int) extends ValueCopy(4) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putInt(to, BYTE_ARRAY_OFFSET + at, from.getDecimal(ordinal, precision, scale).toUnscaledLong.toInt)

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      Platform.putInt(to, BYTE_ARRAY_OFFSET + at + 4L * i, Platform.getLong(base, offset + 8L * i).toInt)
      i += 1
    }
  }
}

private[shard] case object ByteCopy extends ValueCopy(4) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putInt(to, BYTE_ARRAY_OFFSET + at, from.getByte(ordinal).toInt)

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      Platform.putInt(to, BYTE_ARRAY_OFFSET + at + 4L * i, Platform.getByte(base, offset + i).toInt)
      i += 1
    }
  }
}

private[shard] case object ShortCopy extends ValueCopy(4) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putInt(to, BYTE_ARRAY_OFFSET + at, from.getShort(ordinal).toInt)

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      Platform.putInt(to, BYTE_ARRAY_OFFSET + at + 4L * i, Platform.getShort(base, offset + 2L * i).toInt)
      i += 1
    }
  }
}

/** What float32 did not hold exactly.
  *
  * @param values that were rounded
  * @param wholeNumbers among them: they are often identifiers
  */
final private[dlcache] case class Rounding(values: Long, wholeNumbers: Long) {
  def +(other: Rounding): Rounding = Rounding(values + other.values, wholeNumbers + other.wholeNumbers)
}

private[dlcache] object Rounding {
  val none: Rounding = Rounding(0, 0)
}

/** Rounds to float32, for the option `dtype`. A number that would become infinite is an error. What is rounded is counted.
  *
  * Each task has its own instance, because each task gets its own copy of the layout.
  *
  * @param column for messages
  */
final private[shard] case class DoubleToFloatCopy(column: String) extends ValueCopy(4) {
  private var valuesRounded = 0L
  private var wholeNumbersRounded = 0L

  def rounded: Rounding = Rounding(valuesRounded, wholeNumbersRounded)

  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit = {
    val value = from.getDouble(ordinal)
    val narrowed = narrow(value)
    valuesRounded += isRounded(value, narrowed)
    Platform.putFloat(to, BYTE_ARRAY_OFFSET + at, narrowed)
  }

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var rounded = 0L
    var i = 0
    while (i < count) {
      val value = Platform.getDouble(base, offset + 8L * i)
      val narrowed = narrow(value)
      rounded += isRounded(value, narrowed)
      Platform.putFloat(to, BYTE_ARRAY_OFFSET + at + 4L * i, narrowed)
      i += 1
    }
    valuesRounded += rounded
  }

  private def narrow(value: Double): Float = {
    if (Math.abs(value) > DoubleToFloatCopy.MaxExact) check(value)
    value.toFloat
  }

  /** 1 if the numbers differ, else 0. Without a branch, which a processor could not predict. */
  private def isRounded(value: Double, narrowed: Float): Long = {
    val different = JDouble.doubleToRawLongBits(narrowed.toDouble) ^ JDouble.doubleToRawLongBits(value)
    (different | -different) >>> 63
  }

  /** Kept out of the loop, which few numbers leave. */
  private def check(value: Double): Unit = {
    val narrowed = value.toFloat
    if (narrowed.isInfinite && !value.isInfinite) throw DlcacheErrors.valueTooLarge(column, value)
    if (narrowed.toDouble != value && value == Math.rint(value)) wholeNumbersRounded += 1
  }
}

private[shard] object DoubleToFloatCopy {

  /** Up to here float32 holds every whole number. */
  private val MaxExact = (1 << 24).toDouble
}

/** Class numbers, which Spark ML has in floating point columns, as integers. A value that is none is an error.
  *
  * @param column for messages
  */
final private[shard] case class ClassNumberCopy(column: String, isFloat: Boolean) extends ValueCopy(8) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit = {
    val value = if (isFloat) from.getFloat(ordinal).toDouble else from.getDouble(ordinal)
    Platform.putLong(to, BYTE_ARRAY_OFFSET + at, number(value))
  }

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      val value =
        if (isFloat) Platform.getFloat(base, offset + 4L * i).toDouble else Platform.getDouble(base, offset + 8L * i)
      Platform.putLong(to, BYTE_ARRAY_OFFSET + at + 8L * i, number(value))
      i += 1
    }
  }

  private def number(value: Double): Long = {
    val whole = value.toLong
    if (whole.toDouble != value || Math.abs(value) > ClassNumberCopy.MaxExact)
      throw DlcacheErrors.classNumberInvalid(column, value)
    whole
  }
}

private[shard] object ClassNumberCopy {

  /** Up to here a double holds every whole number. */
  private val MaxExact = (1L << 53).toDouble
}

private[shard] case object FloatToDoubleCopy extends ValueCopy(8) {
  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putDouble(to, BYTE_ARRAY_OFFSET + at, from.getFloat(ordinal).toDouble)

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      Platform.putDouble(to, BYTE_ARRAY_OFFSET + at + 8L * i, Platform.getFloat(base, offset + 4L * i).toDouble)
      i += 1
    }
  }
}

/** Spark counts nanoseconds of a day, and its Parquet files hold microseconds. */
private[shard] case object TimeCopy extends ValueCopy(8) {
  def micros(nanos: Long): Long = nanos / 1000

  override def one(from: SpecializedGetters, ordinal: Int, to: Array[Byte], at: Int): Unit =
    Platform.putLong(to, BYTE_ARRAY_OFFSET + at, micros(from.getLong(ordinal)))

  override def all(base: AnyRef, offset: Long, count: Int, to: Array[Byte], at: Int): Unit = {
    var i = 0
    while (i < count) {
      Platform.putLong(to, BYTE_ARRAY_OFFSET + at + 8L * i, micros(Platform.getLong(base, offset + 8L * i)))
      i += 1
    }
  }
}
