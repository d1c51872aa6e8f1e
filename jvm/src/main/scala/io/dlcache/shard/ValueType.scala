package io.dlcache.shard

import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName
import org.apache.spark.sql.types._

/** The floating type that floating columns are cast to at write.
  *
  * @param name as NumPy and the option `dtype` spell it
  */
sealed abstract private[dlcache] class FloatDtype(val name: String, val dataType: DataType) extends Serializable

private[dlcache] object FloatDtype {
  case object Float32 extends FloatDtype("float32", FloatType)
  case object Float64 extends FloatDtype("float64", DoubleType)

  val all: Seq[FloatDtype] = Seq(Float32, Float64)
  def named(name: String): Option[FloatDtype] = all.find(_.name == name)
}

/** How values lie in a page: little-endian, booleans packed from the lowest bit.
  *
  * @param name the manifest's `stored-dtype`
  * @param bits of one value in the page
  */
sealed abstract private[dlcache] class Stored(val name: String, val bits: Int, val primitive: PrimitiveTypeName)
    extends Serializable {

  /** Integers and booleans: what can be a class. */
  def isDiscrete: Boolean = this != Stored.Float32 && this != Stored.Float64
}

private[dlcache] object Stored {
  case object Bit extends Stored("bit", 1, PrimitiveTypeName.BOOLEAN)
  case object Int32 extends Stored("int32", 32, PrimitiveTypeName.INT32)
  case object Int64 extends Stored("int64", 64, PrimitiveTypeName.INT64)
  case object Float32 extends Stored("float32", 32, PrimitiveTypeName.FLOAT)
  case object Float64 extends Stored("float64", 64, PrimitiveTypeName.DOUBLE)
}

/** A type whose values have a fixed width: what the manifest says of it, and how its values get into a page.
  *
  * @param dataType the Spark type that the shard's schema has for it
  * @param dtype NumPy's name
  * @param logical what the numbers mean, if they are not just numbers
  * @param precisionAndScale of decimals
  */
final private[dlcache] case class ValueType(
    dataType: DataType,
    stored: Stored,
    dtype: String,
    copy: ValueCopy,
    logical: Option[String] = None,
    precisionAndScale: Option[(Int, Int)] = None
) {

  /** Under the name `column` in messages. */
  def named(column: String): ValueType = copy match {
    case _: DoubleToFloatCopy =>
      ValueType(dataType, stored, dtype, DoubleToFloatCopy(column), logical, precisionAndScale)
    case numbers: ClassNumberCopy =>
      ValueType(dataType, stored, dtype, ClassNumberCopy(column, numbers.isFloat), logical, precisionAndScale)
    case _ => this
  }

  /** What was rounded since this value was deserialized. */
  def rounded: Rounding = copy match {
    case narrowing: DoubleToFloatCopy => narrowing.rounded
    case _ => Rounding.none
  }
}

private[dlcache] object ValueType {

  /** None if values of `source` have no fixed width. */
  def of(source: DataType, dtype: Option[FloatDtype]): Option[ValueType] = Some(source).collect {
    case BooleanType => ValueType(source, Stored.Bit, "bool", BooleanCopy)
    case ByteType => ValueType(source, Stored.Int32, "int8", ByteCopy)
    case ShortType => ValueType(source, Stored.Int32, "int16", ShortCopy)
    case IntegerType => ValueType(source, Stored.Int32, "int32", IntCopy)
    case LongType => ValueType(source, Stored.Int64, "int64", LongCopy)
    case FloatType if dtype.contains(FloatDtype.Float64) => float64(FloatToDoubleCopy)
    case FloatType => float32(FloatCopy)
    case DoubleType if dtype.contains(FloatDtype.Float32) => float32(DoubleToFloatCopy(""))
    case DoubleType => float64(DoubleCopy)
    case DateType => ValueType(source, Stored.Int32, "int32", IntCopy, Some("date"))
    case TimestampType => ValueType(source, Stored.Int64, "int64", LongCopy, Some("timestamp"))
    case TimestampNTZType => ValueType(source, Stored.Int64, "int64", LongCopy, Some("timestamp_ntz"))
    case time if isTime(time) => ValueType(source, Stored.Int64, "int64", TimeCopy, Some("time"))
    case _: YearMonthIntervalType => ValueType(source, Stored.Int32, "int32", IntCopy, Some("year-month-interval"))
    case _: DayTimeIntervalType => ValueType(source, Stored.Int64, "int64", LongCopy, Some("day-time-interval"))
    case d: DecimalType if d.precision <= Decimal.MAX_INT_DIGITS =>
      decimal(d, Stored.Int32, "int32", new DecimalToIntCopy(d.precision, d.scale))
    case d: DecimalType if d.precision <= Decimal.MAX_LONG_DIGITS =>
      decimal(d, Stored.Int64, "int64", new DecimalToLongCopy(d.precision, d.scale))
  }

  /** The class numbers of a categorical column of Spark ML. */
  def classNumbers(source: DataType): ValueType =
    ValueType(LongType, Stored.Int64, "int64", ClassNumberCopy("", source == FloatType))

  /** Spark has `TimeType` since 4.1; it is known by its name, so that this class also loads on 4.0. */
  def isTime(dataType: DataType): Boolean = dataType.getClass.getName == "org.apache.spark.sql.types.TimeType"

  private def float32(copy: ValueCopy) = ValueType(FloatType, Stored.Float32, "float32", copy)
  private def float64(copy: ValueCopy) = ValueType(DoubleType, Stored.Float64, "float64", copy)
  private def decimal(source: DecimalType, stored: Stored, dtype: String, copy: ValueCopy) =
    ValueType(source, stored, dtype, copy, Some("decimal"), Some((source.precision, source.scale)))
}
