package io.dlcache.read

import java.math.{BigDecimal => JBigDecimal, BigInteger}
import java.time.{Duration, Instant, LocalDate, LocalDateTime, Period, ZoneOffset}
import java.util.Locale

import scala.jdk.CollectionConverters._

import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
import org.apache.spark.mllib.linalg.{VectorUDT => OldVectorUDT, Vectors => OldVectors}
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.types._
import org.scalacheck.Gen

/** Rows of any schema that can be stored. Values are those of `spark.sql.datetime.java8API.enabled`. */
final private[dlcache] case class RandomData(schema: StructType, rows: Seq[Row]) {
  def frame(spark: SparkSession): DataFrame = spark.createDataFrame(rows.asJava, schema)
}

private[dlcache] object RandomData {

  /** From before the Gregorian calendar to the end of what Spark prints. */
  private val FirstDay = LocalDate.of(1, 1, 1).toEpochDay
  private val LastDay = LocalDate.of(9999, 12, 31).toEpochDay

  private val strangeNames = Seq(
    "a.b",
    "with space",
    "\"quoted\"",
    "`tick`",
    "naïve",
    "列",
    "back\\slash",
    "'",
    "😀",
    "a/b",
    "%41",
    "x=1",
    "a,b;c{d}(e)",
    "tab\tname",
    "count(1)",
    "_metadata",
    "NULL",
    "select"
  )

  val name: Gen[String] = Gen.frequency(3 -> Gen.identifier.map(_.take(12)), 2 -> Gen.oneOf(strangeNames))

  private def names(most: Int): Gen[Seq[String]] =
    Gen.choose(1, most).flatMap(n => Gen.listOfN(n, name)).map(_.distinctBy(_.toLowerCase(Locale.ROOT)))

  private val decimalType: Gen[DecimalType] =
    for {
      precision <- Gen.choose(1, 38)
      scale <- Gen.choose(0, precision)
    } yield DecimalType(precision, scale)

  private val atomicType: Gen[DataType] = Gen.oneOf(
    Gen.oneOf(BooleanType, ByteType, ShortType, IntegerType, LongType, FloatType, DoubleType),
    Gen.oneOf(StringType, BinaryType, DateType, TimestampType, TimestampNTZType),
    Gen.oneOf(YearMonthIntervalType(), DayTimeIntervalType()),
    decimalType
  )

  private def dataType(depth: Int): Gen[DataType] =
    if (depth == 0) atomicType
    else
      Gen.frequency(
        4 -> atomicType,
        2 -> Gen.zip(dataType(depth - 1), Gen.oneOf(true, false)).map { case (e, nulls) => ArrayType(e, nulls) },
        1 -> Gen.zip(Gen.oneOf(StringType, LongType, DateType), dataType(depth - 1)).map { case (k, v) =>
          MapType(k, v)
        },
        1 -> structType(depth - 1, 3)
      )

  private def structType(depth: Int, most: Int): Gen[StructType] = for {
    fieldNames <- names(most)
    types <- Gen.listOfN(fieldNames.size, dataType(depth))
    nullable <- Gen.listOfN(fieldNames.size, Gen.oneOf(true, true, false))
  } yield StructType(fieldNames.zip(types).zip(nullable).map { case ((n, t), nulls) => StructField(n, t, nulls) })

  private val schema: Gen[StructType] = for {
    struct <- structType(3, 6)
    vector <- Gen.oneOf(None, Some(SQLDataTypes.VectorType), Some(new OldVectorUDT))
    nullable <- Gen.oneOf(true, false)
  } yield vector.fold(struct)(udt => struct.add("the vector", udt, nullable))

  val any: Gen[RandomData] = for {
    struct <- schema
    size <- Gen.frequency(1 -> Gen.const(0), 4 -> Gen.choose(1, 30))
    // Columns without nulls, and arrays of one length, are stored otherwise than the others.
    regular <- Gen.option(Gen.choose(0, 4))
    rows <- Gen.listOfN(size, row(struct, regular))
  } yield RandomData(struct, rows)

  /** At least one row of columns that can be compared. */
  val atomic: Gen[RandomData] = for {
    types <- Gen.choose(1, 4).flatMap(Gen.listOfN(_, atomicType))
    struct = StructType(types.zipWithIndex.map { case (t, i) => StructField(s"c.$i", t) })
    size <- Gen.choose(1, 30)
    rows <- Gen.listOfN(size, row(struct, None))
  } yield RandomData(struct, rows)

  private def row(struct: StructType, regular: Option[Int]): Gen[Row] =
    Gen.sequence[Seq[Any], Any](struct.map { field =>
      orNull(value(field.dataType, regular), field.nullable && regular.isEmpty)
    }).map(Row.fromSeq)

  private def orNull(gen: Gen[Any], nullable: Boolean): Gen[Any] =
    if (nullable) Gen.frequency(4 -> gen, 1 -> Gen.const(null)) else gen

  private def value(dataType: DataType, regular: Option[Int]): Gen[Any] = dataType match {
    case BooleanType => Gen.oneOf(true, false)
    case ByteType => Gen.choose(Byte.MinValue, Byte.MaxValue)
    case ShortType => Gen.choose(Short.MinValue, Short.MaxValue)
    case IntegerType => Gen.oneOf(Gen.choose(Int.MinValue, Int.MaxValue), Gen.oneOf(Int.MinValue, 0, Int.MaxValue))
    case LongType => Gen.oneOf(Gen.choose(Long.MinValue, Long.MaxValue), Gen.oneOf(Long.MinValue, 0L, Long.MaxValue))
    case FloatType => float
    case DoubleType => Gen.oneOf(double, Gen.oneOf(Double.NaN, -0.0, Double.NegativeInfinity, Double.MinPositiveValue))
    case StringType => Gen.oneOf(Gen.asciiPrintableStr, Gen.oneOf("", "naïve 列 😀", "\u0000"))
    case BinaryType => Gen.listOf(Gen.choose(Byte.MinValue, Byte.MaxValue)).map(_.toArray)
    case DateType => Gen.choose(FirstDay, LastDay).map(LocalDate.ofEpochDay)
    case TimestampType => micros.map { case (seconds, micro) => Instant.ofEpochSecond(seconds, micro * 1000L) }
    case TimestampNTZType =>
      micros.map { case (seconds, micro) => LocalDateTime.ofEpochSecond(seconds, micro * 1000, ZoneOffset.UTC) }
    case _: YearMonthIntervalType => Gen.choose(-100000, 100000).map(months => Period.ofMonths(months).normalized)
    case _: DayTimeIntervalType => Gen.choose(-1000000000000L, 1000000000000L).map(Duration.of(_, micro))
    case d: DecimalType =>
      val bound = BigInteger.TEN.pow(d.precision).subtract(BigInteger.ONE)
      Gen.choose(BigInt(bound.negate), BigInt(bound)).map(unscaled => new JBigDecimal(unscaled.bigInteger, d.scale))
    case ArrayType(element, nullable) =>
      val one = orNull(value(element, regular), nullable && regular.isEmpty)
      regular.map(Gen.const).getOrElse(Gen.choose(0, 4)).flatMap(Gen.listOfN(_, one))
    case MapType(key, mapped, nullable) =>
      val entry = Gen.zip(value(key, regular), orNull(value(mapped, regular), nullable && regular.isEmpty))
      Gen.choose(0, 4).flatMap(Gen.listOfN(_, entry)).map(_.toMap)
    case struct: StructType => row(struct, regular)
    case _: OldVectorUDT => doubles(regular).map(OldVectors.dense)
    case SQLDataTypes.VectorType => doubles(regular).map(Vectors.dense)
    case other => throw new IllegalArgumentException(s"no values of $other")
  }

  private val micro = java.time.temporal.ChronoUnit.MICROS

  // One NaN: of nested columns Parquet's own writer makes one of all.
  private val float: Gen[Float] =
    Gen.choose(Int.MinValue, Int.MaxValue).map(java.lang.Float.intBitsToFloat).map(f => if (f.isNaN) Float.NaN else f)

  private val double: Gen[Double] =
    Gen.choose(Long.MinValue, Long.MaxValue).map(java.lang.Double.longBitsToDouble).map(d =>
      if (d.isNaN) Double.NaN else d
    )

  private def doubles(regular: Option[Int]): Gen[Array[Double]] =
    regular.map(Gen.const).getOrElse(Gen.choose(0, 4)).flatMap(Gen.listOfN(_, double)).map(_.toArray)

  private val micros: Gen[(Long, Int)] =
    Gen.zip(Gen.choose(FirstDay * 86400, LastDay * 86400), Gen.choose(0, 999999))
}
