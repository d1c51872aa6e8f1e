package io.dlcache.shard

import java.time.{Duration, Instant, LocalDate, LocalDateTime, LocalTime, Period}

import org.apache.spark.sql.Row
import org.apache.spark.sql.types._
import org.scalacheck.Gen

/** Random rows, as `Row`s with the classes that Spark takes for its types. */
private[shard] object RandomRows {
  private val micros = Gen.choose(-60000000000000000L, 60000000000000000L)

  /** @param nulls how many of a hundred values are null, at each level */
  def rows(schema: StructType, nulls: Int): Gen[Row] =
    Gen.sequence[List[Any], Any](schema.map(field => field_(field.dataType, nulls))).map(Row.fromSeq)

  private def field_(dataType: DataType, nulls: Int): Gen[Any] =
    if (nulls == 0) value(dataType, nulls)
    else Gen.frequency(nulls -> Gen.const(null), 100 - nulls -> value(dataType, nulls))

  private def value(dataType: DataType, nulls: Int): Gen[Any] = dataType match {
    case BooleanType => Gen.oneOf(true, false)
    case ByteType => Gen.choose(Byte.MinValue, Byte.MaxValue)
    case ShortType => Gen.choose(Short.MinValue, Short.MaxValue)
    case IntegerType => Gen.choose(Int.MinValue, Int.MaxValue)
    case LongType => Gen.choose(Long.MinValue, Long.MaxValue)
    case FloatType =>
      Gen.frequency(20 -> Gen.choose(-1e6f, 1e6f), 1 -> Gen.oneOf(Float.NaN, -0f, Float.PositiveInfinity))
    case DoubleType =>
      Gen.frequency(20 -> Gen.choose(-1e9, 1e9), 1 -> Gen.oneOf(Double.NaN, -0.0, Double.NegativeInfinity))
    case DateType => Gen.choose(-700000L, 2000000L).map(LocalDate.ofEpochDay)
    case TimestampType => micros.map(m => Instant.ofEpochSecond(m / 1000000, m % 1000000 * 1000))
    case TimestampNTZType =>
      micros.map(m =>
        LocalDateTime.ofEpochSecond(
          Math.floorDiv(m, 1000000L),
          Math.floorMod(m, 1000000).toInt * 1000,
          java.time.ZoneOffset.UTC
        )
      )
    case _: YearMonthIntervalType => Gen.choose(-100000, 100000).map(months => Period.ofMonths(months).normalized())
    case _: DayTimeIntervalType => Gen.choose(-1000000000000L, 1000000000000L).map(m => Duration.ofNanos(m * 1000))
    case time if ValueType.isTime(time) => Gen.choose(0L, 86399999999L).map(m => LocalTime.ofNanoOfDay(m * 1000))
    case d: DecimalType =>
      Gen
        .listOfN(d.precision, Gen.choose('0', '9'))
        .flatMap(digits =>
          Gen.oneOf("", "-").map(sign =>
            new java.math.BigDecimal(new java.math.BigInteger(sign + digits.mkString), d.scale)
          )
        )
    case _: StringType => Gen.choose(0, 40).flatMap(Gen.stringOfN(_, Gen.oneOf('a', 'z', 'é', '漢', '\u0000')))
    case BinaryType =>
      Gen.choose(0, 40).flatMap(Gen.listOfN(_, Gen.choose(Byte.MinValue, Byte.MaxValue))).map(_.toArray)
    case ArrayType(element, _) => Gen.choose(0, 5).flatMap(Gen.listOfN(_, field_(element, nulls)))
    case MapType(key, element, _) =>
      Gen.choose(0, 4).flatMap(Gen.mapOfN(_, Gen.zip(value(key, nulls), field_(element, nulls))))
    case struct: StructType => rows(struct, nulls)
    case NullType => Gen.const(null)
    case other => throw new IllegalArgumentException(s"no values of $other")
  }

  /** Equal for equal values: arrays are sequences, and NaN is equal to itself. */
  def comparable(value: Any): Any = value match {
    case bytes: Array[Byte] => bytes.toSeq
    case row: Row => row.toSeq.map(comparable)
    case values: scala.collection.Seq[_] => values.map(comparable).toSeq
    case map: scala.collection.Map[_, _] => map.map { case (k, v) => comparable(k) -> comparable(v) }.toMap
    case float: Float => java.lang.Float.floatToIntBits(float)
    case double: Double => java.lang.Double.doubleToLongBits(double)
    case other => other
  }
}
