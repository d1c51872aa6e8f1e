package io.dlcache.shard

import java.util.Arrays

import scala.language.existentials

import org.apache.parquet.column.statistics.Statistics
import org.apache.parquet.schema.PrimitiveType
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName
import org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName._
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.{BYTE_ARRAY_OFFSET, DOUBLE_ARRAY_OFFSET, FLOAT_ARRAY_OFFSET}

/** Least and greatest of the values of a column chunk. */
sealed private[shard] trait ValueRange {

  /** Parquet's statistics of the chunk. They are empty if values cannot be ordered: a null count without a range would
    * make Parquet's row-group filter drop the chunk.
    */
  final def statistics(primitive: PrimitiveType, nulls: Long): Statistics[_] = this match {
    case ValueRange.NotOrdered => Statistics.getBuilderForReading(primitive).build()
    case _ =>
      val statistics = Statistics.createStats(primitive)
      statistics.incrementNumNulls(nulls)
      addBounds(statistics, primitive.getPrimitiveTypeName)
      statistics
  }

  private def addBounds(statistics: Statistics[_], primitive: PrimitiveTypeName): Unit = this match {
    case ValueRange.Integers(min, max) =>
      Seq(min, max).foreach { bound =>
        primitive match {
          case BOOLEAN => statistics.updateStats(bound != 0)
          case INT32 => statistics.updateStats(bound.toInt)
          case _ => statistics.updateStats(bound)
        }
      }
    case ValueRange.Reals(min, max) =>
      // A zero stands for both zeros.
      Seq(if (min == 0) -0.0 else min, if (max == 0) 0.0 else max).foreach { bound =>
        if (primitive == FLOAT) statistics.updateStats(bound.toFloat)
        else statistics.updateStats(bound)
      }
    case ValueRange.Empty | ValueRange.NotOrdered =>
  }
}

private[shard] object ValueRange {

  /** There are no values. */
  case object Empty extends ValueRange
  final case class Integers(min: Long, max: Long) extends ValueRange
  final case class Reals(min: Double, max: Double) extends ValueRange

  /** NaN is among the values. */
  case object NotOrdered extends ValueRange
}

/** What one pass over the values of a column chunk tells. */
final private[shard] case class NumberScan(numbers: Numbers, range: ValueRange)

/** Tight loops over buffered values (booleans one byte each). Sums are taken of the differences to a value near the mean,
  * so that they lose no precision.
  */
private[shard] object NumberScan {

  /** Tensors of more elements have statistics over all elements only. */
  val MaxElements = 16384

  /** Rows whose mean the sums are shifted by while nothing else is known. */
  private val SampleRows = 64

  /** All values as one set. `soFar` are the numbers of the rows before. */
  def all(data: Array[Byte], from: Int, count: Int, stored: Stored, soFar: Option[Numbers]): NumberScan =
    if (count == 0) NumberScan(Moments.empty, ValueRange.Empty)
    else {
      val base = BYTE_ARRAY_OFFSET.toLong + from
      val shift =
        soFar.map(_.overall).filter(m => m.count > 0 && m.isFinite).fold(sample(data, base, count, stored))(_.mean)
      stored match {
        case Stored.Float32 | Stored.Float64 => reals(data, base, count, stored, shift)
        case _ => integers(data, base, count, stored, shift)
      }
    }

  private def integers(data: Array[Byte], base: Long, count: Int, stored: Stored, shift: Double): NumberScan = {
    var min = Long.MaxValue
    var max = Long.MinValue
    var sum = 0.0
    var squares = 0.0
    var i = 0
    while (i < count) {
      val x = integer(data, base, i, stored)
      val d = x - shift
      if (x < min) min = x
      if (x > max) max = x
      sum += d
      squares += d * d
      i += 1
    }
    val moments = Moments.shifted(count.toLong, min.toDouble, max.toDouble, shift, sum, squares)
    NumberScan(moments.copy(exact = Some((min, max))), ValueRange.Integers(min, max))
  }

  private def reals(data: Array[Byte], base: Long, count: Int, stored: Stored, shift: Double): NumberScan = {
    var numbers = 0L
    var min = Double.PositiveInfinity
    var max = Double.NegativeInfinity
    var sum = 0.0
    var squares = 0.0
    var i = 0
    while (i < count) {
      val x = real(data, base, i, stored)
      if (x == x) {
        val d = x - shift
        if (x < min) min = x
        if (x > max) max = x
        sum += d
        squares += d * d
        numbers += 1
      }
      i += 1
    }
    val moments = if (numbers == 0) Moments.empty else Moments.shifted(numbers, min, max, shift, sum, squares)
    NumberScan(moments, if (numbers == count) ValueRange.Reals(min, max) else ValueRange.NotOrdered)
  }

  /** Each of the `elements` of a tensor by itself, over `rows`. */
  def elements(
      data: Array[Byte],
      from: Int,
      rows: Int,
      elements: Int,
      stored: Stored,
      soFar: Option[Numbers]
  ): NumberScan = {
    val base = BYTE_ARRAY_OFFSET.toLong + from
    val shift = soFar match {
      case Some(before: ElementMoments) if before.size == elements && before.isFinite => before.means
      case _ => sampleMeans(data, base, rows, elements, stored)
    }
    val sums = new ElementSums(shift)
    sums.add(data, base, rows, stored)
    if (!sums.isFinite) {
      val moments = careful(data, base, rows, shift, stored)
      val hasNaN = moments.counts.exists(_ < rows)
      NumberScan(moments, if (hasNaN) ValueRange.NotOrdered else ValueRange.Reals(moments.mins.min, moments.maxs.max))
    } else if (stored.isDiscrete) {
      val bounds = exactBounds(data, base, rows, elements, stored)
      val moments = sums.moments(rows).copy(exact = Some(bounds))
      NumberScan(moments, ValueRange.Integers(bounds.map(_._1).min, bounds.map(_._2).max))
    } else {
      val moments = sums.moments(rows)
      NumberScan(moments, ValueRange.Reals(moments.mins.min, moments.maxs.max))
    }
  }

  /** Least and greatest of each element: doubles do not hold every long. */
  private def exactBounds(
      data: Array[Byte],
      base: Long,
      rows: Int,
      elements: Int,
      stored: Stored
  ): Array[(Long, Long)] = {
    val mins = Array.fill(elements)(Long.MaxValue)
    val maxs = Array.fill(elements)(Long.MinValue)
    var row = 0
    while (row < rows) {
      var i = 0
      while (i < elements) {
        val x = integer(data, base, row * elements + i, stored)
        mins(i) = Math.min(mins(i), x)
        maxs(i) = Math.max(maxs(i), x)
        i += 1
      }
      row += 1
    }
    mins.zip(maxs)
  }

  /** For chunks that hold NaN or infinities: counts the numbers of each element, without those that are NaN. */
  private def careful(
      data: Array[Byte],
      base: Long,
      rows: Int,
      shift: Array[Double],
      stored: Stored
  ): ElementMoments = {
    val size = shift.length
    val counts = new Array[Long](size)
    val mins = Array.fill(size)(Double.PositiveInfinity)
    val maxs = Array.fill(size)(Double.NegativeInfinity)
    val sums = new Array[Double](size)
    val squares = new Array[Double](size)
    var row = 0
    while (row < rows) {
      var i = 0
      while (i < size) {
        val x = real(data, base, row * size + i, stored)
        if (x == x) {
          val d = x - shift(i)
          counts(i) += 1
          sums(i) += d
          squares(i) += d * d
          mins(i) = Math.min(mins(i), x)
          maxs(i) = Math.max(maxs(i), x)
        }
        i += 1
      }
      row += 1
    }
    ElementMoments.of(Array.tabulate(size) { i =>
      if (counts(i) == 0) Moments.empty
      else if (!sums(i).isInfinite || mins(i).isInfinite || maxs(i).isInfinite)
        Moments.shifted(counts(i), mins(i), maxs(i), shift(i), sums(i), squares(i))
      else merged(data, base, rows, size, i, stored)
    })
  }

  /** Of an element whose numbers are finite, and their sum is not. */
  private def merged(data: Array[Byte], base: Long, rows: Int, elements: Int, element: Int, stored: Stored): Moments = {
    var moments = Moments.empty
    var row = 0
    while (row < rows) {
      val x = real(data, base, row * elements + element, stored)
      if (x == x) moments = moments.merge(Moments.one(x))
      row += 1
    }
    moments
  }

  private def sample(data: Array[Byte], base: Long, count: Int, stored: Stored): Double =
    sampleMeans(data, base, count, 1, stored)(0)

  private def sampleMeans(data: Array[Byte], base: Long, rows: Int, elements: Int, stored: Stored): Array[Double] = {
    val sampled = math.min(rows, SampleRows)
    val means = new Array[Double](elements)
    var i = 0
    while (i < sampled * elements) {
      val x = number(data, base, i, stored)
      if (!x.isNaN && !x.isInfinite) means(i % elements) += x / sampled
      i += 1
    }
    means
  }

  private def integer(data: Array[Byte], base: Long, i: Int, stored: Stored): Long = stored match {
    case Stored.Int32 => Platform.getInt(data, base + 4L * i).toLong
    case Stored.Int64 => Platform.getLong(data, base + 8L * i)
    case _ => Platform.getByte(data, base + i).toLong
  }

  private def real(data: Array[Byte], base: Long, i: Int, stored: Stored): Double =
    if (stored == Stored.Float32) Platform.getFloat(data, base + 4L * i).toDouble
    else Platform.getDouble(data, base + 8L * i)

  private def number(data: Array[Byte], base: Long, i: Int, stored: Stored): Double = stored match {
    case Stored.Float32 | Stored.Float64 => real(data, base, i, stored)
    case _ => integer(data, base, i, stored).toDouble
  }

  /** Sums over rows for each element of a tensor, of differences to `shift`. */
  final private class ElementSums(shift: Array[Double]) {
    private val size = shift.length
    private val mins = Array.fill(size)(Double.PositiveInfinity)
    private val maxs = Array.fill(size)(Double.NegativeInfinity)
    private val sums = new Array[Double](size)
    private val squares = new Array[Double](size)

    def add(data: Array[Byte], base: Long, rows: Int, stored: Stored): Unit = {
      val row = new Array[Double](size)
      val floats = new Array[Float](if (stored == Stored.Float32) size else 0)
      val rowBytes = size.toLong * math.max(8, stored.bits) / 8
      var i = 0
      while (i < rows) {
        val offset = base + i * rowBytes
        stored match {
          case Stored.Float64 => Platform.copyMemory(data, offset, row, DOUBLE_ARRAY_OFFSET.toLong, rowBytes)
          case Stored.Float32 =>
            Platform.copyMemory(data, offset, floats, FLOAT_ARRAY_OFFSET.toLong, rowBytes)
            widen(floats, row)
          case _ => integersOf(data, offset, stored, row)
        }
        addRow(row)
        i += 1
      }
    }

    def isFinite: Boolean = sums.forall(sum => !sum.isNaN && !sum.isInfinite)

    def moments(rows: Int): ElementMoments = {
      val means = Array.tabulate(size)(i => shift(i) + sums(i) / rows)
      val m2s = Array.tabulate(size)(i => math.max(0.0, squares(i) - sums(i) * sums(i) / rows))
      val counts = new Array[Long](size)
      Arrays.fill(counts, rows.toLong)
      ElementMoments(counts, mins, maxs, means, m2s)
    }

    private def widen(from: Array[Float], to: Array[Double]): Unit = {
      var i = 0
      while (i < to.length) {
        to(i) = from(i).toDouble
        i += 1
      }
    }

    private def integersOf(data: Array[Byte], offset: Long, stored: Stored, to: Array[Double]): Unit = {
      var i = 0
      while (i < to.length) {
        to(i) = integer(data, offset, i, stored).toDouble
        i += 1
      }
    }

    private def addRow(row: Array[Double]): Unit = {
      var i = 0
      while (i < row.length) {
        val x = row(i)
        val d = x - shift(i)
        sums(i) += d
        squares(i) += d * d
        mins(i) = Math.min(mins(i), x)
        maxs(i) = Math.max(maxs(i), x)
        i += 1
      }
    }
  }
}
