package io.dlcache.shard.buffer

import java.util.Arrays

import io.dlcache.shard.{ParquetSchema, TimeCopy, ValueType}
import org.apache.parquet.io.api.{Binary, RecordConsumer}
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters
import org.apache.spark.sql.types._

/** Gives values of one type, with all that is inside them, to Parquet's record consumer. */
final private[shard] class NestedWriter(dataType: DataType, consumer: RecordConsumer) {
  private type Write = (SpecializedGetters, Int) => Unit
  private var nullCount = 0L
  private var elementCount = 0L
  private val writeValue = writerOf(dataType)

  /** Elements of arrays and values of maps that were null. */
  def nullElements: Long = nullCount

  /** Elements of arrays and entries of maps: no Parquet column has more values than these and the rows together. */
  def elements: Long = elementCount

  /** Writes the value of `from` at `ordinal`, which is not null. */
  def write(from: SpecializedGetters, ordinal: Int): Unit = writeValue(from, ordinal)

  private def writerOf(dataType: DataType): Write = dataType match {
    case BooleanType => (from, i) => consumer.addBoolean(from.getBoolean(i))
    case ByteType => (from, i) => consumer.addInteger(from.getByte(i).toInt)
    case ShortType => (from, i) => consumer.addInteger(from.getShort(i).toInt)
    case IntegerType | DateType | _: YearMonthIntervalType => (from, i) => consumer.addInteger(from.getInt(i))
    case LongType | TimestampType | TimestampNTZType | _: DayTimeIntervalType =>
      (from, i) => consumer.addLong(from.getLong(i))
    case time if ValueType.isTime(time) => (from, i) => consumer.addLong(TimeCopy.micros(from.getLong(i)))
    case FloatType => (from, i) => consumer.addFloat(from.getFloat(i))
    case DoubleType => (from, i) => consumer.addDouble(from.getDouble(i))
    case _: StringType => (from, i) => consumer.addBinary(Binary.fromReusedByteArray(from.getUTF8String(i).getBytes))
    case BinaryType => (from, i) => consumer.addBinary(Binary.fromReusedByteArray(from.getBinary(i)))
    case d: DecimalType => decimal(d)
    case ArrayType(element, _) => array(writerOf(element))
    case MapType(key, value, _) => map(writerOf(key), writerOf(value))
    case struct: StructType => fields(struct)
    case NullType => (_, _) => throw new IllegalStateException("the null type has no values")
    case other => throw new MatchError(other)
  }

  private def decimal(d: DecimalType): Write =
    if (d.precision <= Decimal.MAX_INT_DIGITS)
      (from, i) => consumer.addInteger(from.getDecimal(i, d.precision, d.scale).toUnscaledLong.toInt)
    else if (d.precision <= Decimal.MAX_LONG_DIGITS)
      (from, i) => consumer.addLong(from.getDecimal(i, d.precision, d.scale).toUnscaledLong)
    else {
      val width = ParquetSchema.decimalBytes(d.precision)
      (from, i) => {
        val unscaled = from.getDecimal(i, d.precision, d.scale).toJavaBigDecimal.unscaledValue().toByteArray
        val bytes = new Array[Byte](width)
        Arrays.fill(bytes, 0, width - unscaled.length, if (unscaled(0) < 0) -1.toByte else 0.toByte)
        System.arraycopy(unscaled, 0, bytes, width - unscaled.length, unscaled.length)
        consumer.addBinary(Binary.fromConstantByteArray(bytes))
      }
    }

  private def array(element: Write): Write = (from, ordinal) => {
    val values = from.getArray(ordinal)
    elementCount += values.numElements()
    group {
      if (values.numElements() > 0) field("list", 0) {
        var i = 0
        while (i < values.numElements()) {
          group(optional("element", 0, values, i, element))
          i += 1
        }
      }
    }
  }

  private def map(key: Write, value: Write): Write = (from, ordinal) => {
    val entries = from.getMap(ordinal)
    val (keys, values) = (entries.keyArray(), entries.valueArray())
    elementCount += entries.numElements()
    group {
      if (entries.numElements() > 0) field("key_value", 0) {
        var i = 0
        while (i < entries.numElements()) {
          group {
            field("key", 0)(key(keys, i))
            optional("value", 1, values, i, value)
          }
          i += 1
        }
      }
    }
  }

  private def fields(struct: StructType): Write = {
    val writers = struct.map(field => writerOf(field.dataType)).toArray
    val names = struct.fieldNames
    (from, ordinal) => {
      val row = from.getStruct(ordinal, writers.length)
      group {
        var i = 0
        while (i < writers.length) {
          if (!row.isNullAt(i)) field(names(i), i)(writers(i)(row, i))
          i += 1
        }
      }
    }
  }

  private def optional(name: String, index: Int, from: SpecializedGetters, ordinal: Int, write: Write): Unit =
    if (from.isNullAt(ordinal)) nullCount += 1
    else field(name, index)(write(from, ordinal))

  private def group(content: => Unit): Unit = {
    consumer.startGroup()
    content
    consumer.endGroup()
  }

  private def field(name: String, index: Int)(content: => Unit): Unit = {
    consumer.startField(name, index)
    content
    consumer.endField(name, index)
  }
}
