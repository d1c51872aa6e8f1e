package io.dlcache.key

import java.nio.{ByteBuffer, ByteOrder}

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.util.{ArrayData, MapData}
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.types.{CalendarInterval, UTF8String, VariantVal}

/** Writes values of Spark's internal form. What is written depends on the value only, not on how it is held: an unsafe row
  * and a generic row of equal values are equal here.
  */
private[key] object RowEncoder {

  /** @return the class of the value that cannot be encoded, if there is one */
  def write(sink: DigestSink, value: Any, dataType: DataType): Option[String] = (value, dataType) match {
    case (value, udt: UserDefinedType[_]) => write(sink, value, udt.sqlType)
    case (array: ArrayData, ArrayType(element, _)) => writeArray(sink, array, element)
    case (map: MapData, MapType(key, value, _)) =>
      sink.tag('m')
      writeArray(sink, map.keyArray(), key).orElse(writeArray(sink, map.valueArray(), value))
    case (row: InternalRow, struct: StructType) => writeRow(sink, row, struct.fields.map(_.dataType))
    case _ => writeAtom(sink, value)
  }

  def writeRow(sink: DigestSink, row: InternalRow, types: Array[DataType]): Option[String] = {
    sink.long('r', types.length.toLong)
    firstUnknown(types.length)(i => write(sink, if (row.isNullAt(i)) null else row.get(i, types(i)), types(i)))
  }

  private def writeArray(sink: DigestSink, array: ArrayData, element: DataType): Option[String] = {
    val length = array.numElements()
    val dense = element match {
      case _ if length == 0 || (0 until length).exists(array.isNullAt) => None
      case FloatType => Some(littleEndian(length * 4L)(buffer => buffer.asFloatBuffer.put(array.toFloatArray())))
      case DoubleType => Some(littleEndian(length * 8L)(buffer => buffer.asDoubleBuffer.put(array.toDoubleArray())))
      case IntegerType => Some(littleEndian(length * 4L)(buffer => buffer.asIntBuffer.put(array.toIntArray())))
      case LongType => Some(littleEndian(length * 8L)(buffer => buffer.asLongBuffer.put(array.toLongArray())))
      case ByteType => Some(array.toByteArray())
      case _ => None
    }
    dense match {
      case Some(values) =>
        sink.bytes('A', values)
        None
      case None =>
        sink.long('a', length.toLong)
        firstUnknown(length)(i => write(sink, if (array.isNullAt(i)) null else array.get(i, element), element))
    }
  }

  private def littleEndian(size: Long)(fill: ByteBuffer => Any): Array[Byte] = {
    val bytes = new Array[Byte](Math.toIntExact(size))
    fill(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN))
    bytes
  }

  private def firstUnknown(length: Int)(encode: Int => Option[String]): Option[String] = {
    var i = 0
    var unknown: Option[String] = None
    while (i < length && unknown.isEmpty) {
      unknown = encode(i)
      i += 1
    }
    unknown
  }

  private def writeAtom(sink: DigestSink, value: Any): Option[String] = {
    def known(written: DigestSink): Option[String] = { val _ = written; None }
    value match {
      case null => known(sink.tag('0'))
      case value: Boolean => known(sink.long('z', if (value) 1 else 0))
      case value: Byte => known(sink.long('b', value.toLong))
      case value: Short => known(sink.long('h', value.toLong))
      case value: Int => known(sink.long('i', value.toLong))
      case value: Long => known(sink.long('l', value))
      case value: Float => known(sink.long('f', java.lang.Float.floatToRawIntBits(value).toLong))
      case value: Double => known(sink.long('d', java.lang.Double.doubleToRawLongBits(value)))
      case value: UTF8String => known(sink.bytes('s', value.getBytes))
      case value: Array[Byte] => known(sink.bytes('y', value))
      case value: Decimal =>
        known(sink.bytes('D', value.toJavaBigDecimal.unscaledValue.toByteArray).long('i', value.scale.toLong))
      case value: CalendarInterval =>
        known(sink.long('I', value.months.toLong).long('i', value.days.toLong).long('l', value.microseconds))
      case value: VariantVal => known(sink.bytes('v', value.getMetadata).bytes('v', value.getValue))
      case other => Some(other.getClass.getName)
    }
  }
}
