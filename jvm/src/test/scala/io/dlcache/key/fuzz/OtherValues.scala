package io.dlcache.key.fuzz

import scala.util.Random

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.util.{ArrayBasedMapData, ArrayData, GenericArrayData, MapData}
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.types.{CalendarInterval, UTF8String}

/** Other values near a value. */
private[fuzz] object OtherValues {

  def of(value: Any, random: Random): Option[Any] = value match {
    case flag: Boolean => Some(!flag)
    case number: Int => Some(pick(random, number + 1, number - 1, 0, 2, -number))
    case number: Long => Some(pick(random, number + 1, number - 1, 0L, 2L, -number))
    case number: Double => Some(pick(random, number / 2, number + 0.25, -number))
    case text: String => Some(pick(random, text + "x", text.reverse, ""))
    case Some(inner) => if (random.nextBoolean()) Some(None) else of(inner, random).map(Some(_))
    case None => None
    case dataType: DataType => ofType(dataType, random)
    case constant: java.lang.Enum[_] =>
      val all = constant.getDeclaringClass.getEnumConstants.filter(_ ne constant)
      Option.when(all.nonEmpty)(all(random.nextInt(all.length)))
    case _ => None
  }

  /** Of Catalyst's own form of a value of a type. */
  def ofLiteral(literal: Literal, random: Random): Option[Literal] =
    if (literal.value == null) None
    else if (random.nextInt(12) == 0) Some(Literal(null, literal.dataType))
    else internal(literal.value, literal.dataType, random).map(Literal(_, literal.dataType))

  private def internal(value: Any, dataType: DataType, random: Random): Option[Any] = (value, dataType) match {
    case (null, _) => None
    case (flag: Boolean, _) => Some(!flag)
    case (number: Byte, _) => Some((number + pick(random, 1, -1)).toByte)
    case (number: Short, _) => Some((number + pick(random, 1, -1)).toShort)
    case (number: Int, _) => Some(pick(random, number + 1, number - 1, 0, -number))
    case (number: Long, _) => Some(pick(random, number + 1, number - 1, 0L, number + 86400000000L, -number))
    case (number: Float, _) => Some(pick(random, number + 0.5f, -number, Float.NaN))
    case (number: Double, _) => Some(pick(random, number + 0.5, -number, Double.NaN))
    case (number: Decimal, decimal: DecimalType) =>
      val other = if (random.nextBoolean()) -number else number + Decimal(1, decimal.precision, decimal.scale)
      Option.when(other.toJavaBigDecimal.precision <= decimal.precision)(other)
    case (text: UTF8String, _) => Some(ofText(text, random))
    case (bytes: Array[Byte], _) => Some(pick(random, bytes :+ 1.toByte, bytes.reverse))
    case (interval: CalendarInterval, _) =>
      Some(new CalendarInterval(interval.months + 1, interval.days, interval.microseconds))
    case (array: ArrayData, ArrayType(element, _)) => Some(ofArray(array, element, random))
    case (map: MapData, MapType(_, value, _)) =>
      Some(new ArrayBasedMapData(map.keyArray(), ofArray(map.valueArray(), value, random)))
    case (row: InternalRow, struct: StructType) =>
      ofRow(row, struct.map(_.dataType), random)
    case _ => None
  }

  private def ofText(text: UTF8String, random: Random): UTF8String = {
    val plain = text.toString
    UTF8String.fromString(random.nextInt(5) match {
      case 0 => plain + "a"
      case 1 => plain.reverse
      case 2 => plain.drop(1)
      case 3 => if (plain.exists(_.isLower)) plain.toUpperCase else plain.toLowerCase
      case _ => plain.map(char => if (char.isDigit) ('0' + (char - '0' + 1) % 10).toChar else char)
    })
  }

  private def ofArray(array: ArrayData, element: DataType, random: Random): ArrayData = {
    val values = array.toSeq[Any](element)
    if (values.isEmpty) array
    else {
      val i = random.nextInt(values.length)
      new GenericArrayData(values.updated(i, internal(values(i), element, random).orNull))
    }
  }

  /** A row with another value in one column. */
  def ofRow(row: InternalRow, types: Seq[DataType], random: Random): Option[InternalRow] =
    Option.when(types.nonEmpty) {
      val i = random.nextInt(types.length)
      val values = row.toSeq(types)
      InternalRow.fromSeq(values.updated(i, internal(values(i), types(i), random).orNull))
    }

  private def ofType(dataType: DataType, random: Random): Option[DataType] = dataType match {
    case IntegerType => Some(pick(random, LongType, ShortType, DoubleType))
    case LongType => Some(pick(random, IntegerType, DoubleType))
    case ShortType | ByteType => Some(IntegerType)
    case DoubleType => Some(pick(random, FloatType, LongType))
    case FloatType => Some(DoubleType)
    case TimestampType => Some(pick(random, TimestampNTZType, DateType))
    case TimestampNTZType | DateType => Some(TimestampType)
    case StringType => Some(pick(random, StringType("UTF8_LCASE"), BinaryType))
    case decimal: DecimalType => Some(DecimalType(decimal.precision, math.max(0, decimal.scale - 1)))
    case array: ArrayType => Some(array.copy(containsNull = !array.containsNull))
    case struct: StructType if struct.nonEmpty =>
      val i = random.nextInt(struct.length)
      val field = struct(i)
      val other = ofType(field.dataType, random).fold(field.copy(nullable = !field.nullable)) { kind =>
        field.copy(dataType = kind)
      }
      Some(StructType(struct.fields.updated(i, other)))
    case _ => None
  }

  def pick[A](random: Random, values: A*): A = values(random.nextInt(values.length))
}
