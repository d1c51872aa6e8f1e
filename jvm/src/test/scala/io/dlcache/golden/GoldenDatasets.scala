package io.dlcache.golden

import java.math.{BigDecimal => JBigDecimal}
import java.nio.charset.StandardCharsets.UTF_8
import java.time.{Duration, Instant, LocalDate, LocalDateTime, Period}

import scala.collection.immutable.ListMap

import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
import org.apache.spark.mllib.linalg.{VectorUDT => OldVectorUDT, Vectors => OldVectors}
import org.apache.spark.sql.Row
import org.apache.spark.sql.types._

/** What lies under `tests/golden`. */
private[golden] object GoldenDatasets {

  private val scalars = GoldenDataset(
    "scalars",
    "Every type of fixed width without nulls, and decimals that have no dtype; five row groups in two shards.",
    new StructType()
      .add("bool", BooleanType, nullable = false)
      .add("int8", ByteType)
      .add("int16", ShortType)
      .add("int32", IntegerType)
      .add("int64", LongType)
      .add("float32", FloatType)
      .add("float64", DoubleType)
      .add("date", DateType)
      .add("timestamp", TimestampType)
      .add("timestamp_ntz", TimestampNTZType)
      .add("decimal9", DecimalType(9, 2))
      .add("decimal18", DecimalType(18, 4))
      .add("decimal38", DecimalType(38, 10))
      .add("months", YearMonthIntervalType())
      .add("micros", DayTimeIntervalType()),
    Seq((0 until 17).map { i =>
      val sign = if (i % 2 == 0) 1 else -1
      Row(
        i % 3 == 0,
        (sign * i * 7).toByte,
        (sign * i * 1900).toShort,
        sign * i * 100000000,
        sign * i * 500000000000000000L,
        Seq(Float.NaN, Float.PositiveInfinity, Float.MinPositiveValue).applyOrElse(i, (_: Int) => sign * i / 7f),
        Seq(Double.NegativeInfinity, -0.0, Double.MaxValue, Double.NaN).applyOrElse(i, (_: Int) => sign * i / 3d),
        LocalDate.of(1582 + i * 60, 10, 4 + i % 3),
        Instant.parse("1801-03-04T05:06:07.891011Z").plus(Duration.ofDays(i * 9000L)),
        LocalDateTime.parse("1801-03-04T05:06:07.891011").plusDays(i * 9000L),
        new JBigDecimal(sign * i * 41234567L).movePointLeft(2).setScale(2),
        new JBigDecimal(sign * i * 51234567890123456L).movePointLeft(4).setScale(4),
        new JBigDecimal("1234567890123456789012345678.0123456789").add(new JBigDecimal(sign * i)),
        Period.ofMonths(sign * i * 5).normalized,
        Duration.ofSeconds(sign * i * 86399L, 123456000)
      )
    }),
    partitions = 2,
    options = Map("rowGroupBytes" -> "256")
  )

  private val tensors = GoldenDataset(
    "tensors",
    "Lists whose rows all have one shape: vectors, matrices, images and masks; several row groups.",
    new StructType()
      .add("label", IntegerType, nullable = false)
      .add("features", ArrayType(FloatType, containsNull = false), nullable = false)
      .add("matrix", ArrayType(ArrayType(DoubleType)))
      .add("image", ArrayType(ArrayType(ArrayType(ByteType, containsNull = false))))
      .add("mask", ArrayType(BooleanType))
      .add("days", ArrayType(DateType)),
    Seq((0 until 13).map { i =>
      Row(
        i % 4,
        Seq.tabulate(5)(j => i + j / 8f),
        Seq.tabulate(2, 3)((j, k) => i * 100.0 + j * 10 + k),
        Seq.tabulate(2, 2, 3)((j, k, c) => (i * 12 + j * 6 + k * 3 + c - 64).toByte),
        Seq.tabulate(3)(j => (i + j) % 3 == 0),
        Seq(LocalDate.of(2026, 1, 1 + i), LocalDate.of(1969, 12, 1 + i))
      )
    }),
    partitions = 2,
    options = Map("rowGroupBytes" -> "512")
  )

  private val ragged = GoldenDataset(
    "ragged",
    "Lists of many lengths, some empty; some rows or elements null.",
    new StructType()
      .add("tokens", ArrayType(IntegerType))
      .add("weights", ArrayType(FloatType))
      .add("flags", ArrayType(BooleanType))
      .add("null_rows", ArrayType(LongType))
      .add("null_elements", ArrayType(DoubleType)),
    Seq((0 until 11).map { i =>
      val length = (i * 7) % 5
      Row(
        Seq.tabulate(length)(_ + i * 1000),
        Seq.tabulate((i + 2) % 3)(_ / 4f),
        Seq.tabulate(length)(j => j % 2 == 0),
        if (i % 4 == 1) null else Seq.tabulate(length)(_.toLong << 40),
        Seq.tabulate(length)(j => if ((i + j) % 3 == 0) null else j / 2.0)
      )
    }),
    options = Map("rowGroupBytes" -> "256")
  )

  private val strings = GoldenDataset(
    "strings",
    "Strings and bytes, some empty, some null, and names that need care.",
    new StructType()
      .add("text", StringType, nullable = false)
      .add("null_text", StringType)
      .add("bytes", BinaryType)
      .add("null_bytes", BinaryType)
      .add("all_null", StringType)
      .add("a.b \"c\" 列", StringType)
      .add("null_int", IntegerType),
    Seq((0 until 9).map { i =>
      val text = Seq("", "plain", "naïve", "列", "😀", "\u0000", "with\nline", " ", "x" * 300)(i)
      Row(
        text,
        if (i % 3 == 0) null else text,
        text.getBytes(UTF_8),
        if (i % 2 == 0) null else Array.tabulate(i)(j => (255 - j).toByte),
        null,
        s"#$i",
        if (i == 4) null else i
      )
    }),
    options = Map("rowGroupBytes" -> "512")
  )

  private val vectors = GoldenDataset(
    "vectors",
    "Vectors of ml and mllib, dense and sparse, of one size, of several sizes and with nulls.",
    new StructType()
      .add("ml", SQLDataTypes.VectorType)
      .add("mllib", new OldVectorUDT)
      .add("sizes", SQLDataTypes.VectorType)
      .add("nulls", SQLDataTypes.VectorType),
    Seq((0 until 7).map { i =>
      val dense = Array.tabulate(4)(j => i + j / 2.0)
      Row(
        if (i % 2 == 0) Vectors.dense(dense) else Vectors.sparse(4, Array(i % 4), Array(i.toDouble)),
        if (i % 2 == 0) OldVectors.dense(dense) else OldVectors.sparse(4, Array(i % 4), Array(-i.toDouble)),
        Vectors.dense(Array.fill(i % 3)(i.toDouble)),
        if (i == 3) null else Vectors.dense(dense)
      )
    })
  )

  private val nested = GoldenDataset(
    "nested",
    "Structs, whose leaves are columns, and what is no column of numbers: maps, arrays of structs, of strings, irregular ones.",
    new StructType()
      .add(
        "point",
        new StructType().add("x", DoubleType).add("inner", new StructType().add("tags", ArrayType(StringType)))
      )
      .add("fixed", new StructType().add("v", ArrayType(FloatType), nullable = false), nullable = false)
      .add("counts", MapType(StringType, LongType))
      .add("boxes", ArrayType(new StructType().add("label", StringType).add("score", FloatType)))
      .add("words", ArrayType(StringType))
      .add("jagged", ArrayType(ArrayType(IntegerType))),
    Seq((0 until 6).map { i =>
      Row(
        if (i == 2) null else Row(i / 2.0, if (i == 4) null else Row(Seq.fill(i % 3)(s"tag $i"))),
        Row(Seq(i.toFloat, -i.toFloat)),
        if (i == 1) null else ListMap((0 until i).map(j => s"k$j" -> j.toLong): _*),
        Seq.tabulate(i % 3)(j => Row(s"box $j", if (j == 1) null else j / 4f)),
        if (i == 5) null else Seq.tabulate(i)(j => if (j == 3) null else "w" * j),
        Seq.tabulate(i % 4)(j => Seq.range(0, j))
      )
    })
  )

  private val compressed = tensors.copy(
    name = "compressed",
    description = "The dataset tensors with zstd pages: no column is raw.",
    options = tensors.options + ("compression" -> "zstd")
  )

  private val float32 = GoldenDataset(
    "float32",
    "Doubles and vectors stored as float32; the values are such that nothing is lost.",
    new StructType()
      .add("x", DoubleType)
      .add("v", SQLDataTypes.VectorType)
      .add("s", new StructType().add("y", ArrayType(DoubleType))),
    Seq((0 until 5).map(i => Row(i / 4.0, Vectors.dense(i, -i / 8.0), Row(Seq.fill(i)(i / 2.0))))),
    options = Map("dtype" -> "float32")
  )

  private val empty = GoldenDataset(
    "empty",
    "No rows: no shards, and array columns are ragged or nested.",
    new StructType()
      .add("id", LongType)
      .add("features", ArrayType(FloatType))
      .add("matrix", ArrayType(ArrayType(FloatType)))
      .add("text", StringType),
    Seq(Nil)
  )

  private val versions = GoldenDataset(
    "versions",
    "Three versions made by append: features and matrix are tensors in the first two, ragged and nested in the third.",
    new StructType()
      .add("id", LongType)
      .add("features", ArrayType(FloatType))
      .add("matrix", ArrayType(ArrayType(IntegerType))),
    Seq(
      (0 until 4).map(i => Row(i.toLong, Seq.fill(3)(i.toFloat), Seq.fill(2, 2)(i))),
      (4 until 6).map(i => Row(i.toLong, Seq.fill(3)(i.toFloat), Seq.fill(2, 2)(i))),
      (6 until 9).map(i => Row(i.toLong, Seq.fill(i % 4)(i.toFloat), Seq.fill(i % 3, 2)(i)))
    )
  )

  private val packed = GoldenDataset(
    "packed",
    "Columns of numbers that are stored as one: their order in it is another than in the rows.",
    new StructType()
      .add("id", LongType, nullable = false)
      .add("height", FloatType)
      .add("small", ByteType)
      .add("name", StringType)
      .add("age", FloatType, nullable = false)
      .add("less", ByteType)
      .add("weight", FloatType),
    Seq(
      (0 until 9).map(i => Row(i.toLong, i / 4f, i.toByte, s"n$i", -i / 2f, (100 - i).toByte, Float.NaN)),
      (9 until 12).map(i => Row(i.toLong, i / 4f, i.toByte, s"n$i", -i / 2f, (100 - i).toByte, i * 8f))
    ),
    partitions = 2,
    options = Map("rowGroupBytes" -> "64"),
    pack = Map("features" -> Seq("age", "weight", "height"), "bytes" -> Seq("small", "less"))
  )

  private val names = GoldenDataset(
    "names",
    "Columns whose paths are one text when they are joined with dots, each with its own values.",
    new StructType()
      .add("a.b", IntegerType)
      .add(
        "a",
        new StructType()
          .add("b", IntegerType)
          .add("b.c", ArrayType(FloatType))
          .add("`b.c`", StringType)
          .add("d", new StructType().add("c", MapType(StringType, IntegerType)))
      )
      .add("a.b.c", StringType)
      .add("`a.b`", LongType)
      .add("a.d.c", ArrayType(StringType))
      .add("a.x", DoubleType)
      .add("dotted.one", DoubleType),
    Seq((0 until 9).map { i =>
      Row(
        i,
        if (i == 4) null
        else
          Row(100 + i, Seq.fill(i % 3)(i / 2f), s"quoted $i", Row(ListMap((0 until i % 3).map(j => s"k$j" -> j): _*))),
        s"abc $i",
        1000L + i,
        Seq.fill(i % 2)(s"x$i"),
        i / 4d,
        -i / 4d
      )
    }),
    options = Map("rowGroupBytes" -> "256"),
    pack = Map("a.p" -> Seq("dotted.one", "a.x"))
  )

  private val unsealed = versions.copy(
    name = "unsealed",
    description = "The dataset versions, with manifests as the first writers wrote them: without a checksum.",
    hasChecksum = false
  )

  val all: Seq[GoldenDataset] = Seq(
    compressed,
    empty,
    float32,
    names,
    nested,
    packed,
    ragged,
    scalars,
    strings,
    tensors,
    unsealed,
    vectors,
    versions
  )
}
