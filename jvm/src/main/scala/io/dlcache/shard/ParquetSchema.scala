package io.dlcache.shard

import org.apache.parquet.schema.{LogicalTypeAnnotation, MessageType, PrimitiveType, Type, Types}
import org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit.MICROS
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName._
import org.apache.parquet.schema.Type.Repetition
import org.apache.parquet.schema.Type.Repetition.{OPTIONAL, REQUIRED}
import org.apache.spark.sql.types._

/** The Parquet schema of a shard: as Spark writes its types, but every field is optional. What is declared never to be
  * null costs a few bytes in a page, and a wrong declaration costs nothing.
  */
private[shard] object ParquetSchema {

  /** Large decimals are stored in this many bytes. */
  def decimalBytes(precision: Int): Int = Decimal.minBytesForPrecision(precision)

  /** `schema` holds no types that [[ShardLayout]] refuses. */
  def message(schema: StructType): MessageType =
    new MessageType("spark_schema", schema.map(field => column(field.name, field.dataType, OPTIONAL)): _*)

  /** The message that holds only the field at the end of `path`, for one column that is written by itself. */
  def message(path: Seq[String], dataType: DataType): MessageType = {
    val leaf = column(path.last, dataType, OPTIONAL)
    val top = path.init.foldRight(leaf)((name, inner) => Types.optionalGroup().addField(inner).named(name))
    new MessageType("spark_schema", top)
  }

  private def column(name: String, dataType: DataType, repetition: Repetition): Type = dataType match {
    case ArrayType(element, _) =>
      Types
        .buildGroup(repetition)
        .as(LogicalTypeAnnotation.listType())
        .addField(Types.repeatedGroup().addField(column("element", element, OPTIONAL)).named("list"))
        .named(name)
    case MapType(key, value, _) =>
      val entry =
        Types.repeatedGroup().addField(column("key", key, REQUIRED)).addField(column("value", value, OPTIONAL))
      Types.buildGroup(repetition).as(LogicalTypeAnnotation.mapType()).addField(entry.named("key_value")).named(name)
    case StructType(fields) =>
      fields
        .foldLeft(Types.buildGroup(repetition))((group, field) =>
          group.addField(column(field.name, field.dataType, OPTIONAL))
        )
        .named(name)
    case atomic => primitive(name, atomic, repetition)
  }

  private def primitive(name: String, dataType: DataType, repetition: Repetition): PrimitiveType = {
    def of(primitive: PrimitiveType.PrimitiveTypeName) = Types.primitive(primitive, repetition)
    dataType match {
      case BooleanType => of(BOOLEAN).named(name)
      case ByteType => of(INT32).as(LogicalTypeAnnotation.intType(8, true)).named(name)
      case ShortType => of(INT32).as(LogicalTypeAnnotation.intType(16, true)).named(name)
      case IntegerType | _: YearMonthIntervalType => of(INT32).named(name)
      case LongType | _: DayTimeIntervalType => of(INT64).named(name)
      case FloatType => of(FLOAT).named(name)
      case DoubleType => of(DOUBLE).named(name)
      case DateType => of(INT32).as(LogicalTypeAnnotation.dateType()).named(name)
      case TimestampType => of(INT64).as(LogicalTypeAnnotation.timestampType(true, MICROS)).named(name)
      case TimestampNTZType => of(INT64).as(LogicalTypeAnnotation.timestampType(false, MICROS)).named(name)
      case time if ValueType.isTime(time) =>
        of(INT64).as(LogicalTypeAnnotation.timeType(false, MICROS)).named(name)
      case _: StringType => of(BINARY).as(LogicalTypeAnnotation.stringType()).named(name)
      case BinaryType => of(BINARY).named(name)
      case NullType => of(INT32).as(Unknown.annotation).named(name)
      case d: DecimalType =>
        val annotation = LogicalTypeAnnotation.decimalType(d.scale, d.precision)
        if (d.precision <= Decimal.MAX_INT_DIGITS) of(INT32).as(annotation).named(name)
        else if (d.precision <= Decimal.MAX_LONG_DIGITS) of(INT64).as(annotation).named(name)
        else of(FIXED_LEN_BYTE_ARRAY).length(decimalBytes(d.precision)).as(annotation).named(name)
      case other => throw new MatchError(other)
    }
  }

  /** Parquet has it since 1.16: a class of its own, so that the others also load where it is missing. */
  private object Unknown {
    def annotation: LogicalTypeAnnotation = LogicalTypeAnnotation.unknownType()
  }
}
