package io.dlcache.shard.buffer

import java.util.Arrays

import scala.language.existentials

import io.dlcache.shard.file.{Page, ShardFile}
import io.dlcache.shard.{ChunkSummary, ColumnSummary, LeafColumn, RowGroupLimits, Shape, StringCounter}
import org.apache.parquet.column.ColumnDescriptor
import org.apache.parquet.column.statistics.Statistics
import org.apache.parquet.io.api.Binary
import org.apache.spark.sql.catalyst.expressions.{SpecializedGetters, UnsafeRow}
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET

/** Strings and binaries: a record of length and bytes for each row that is not null. */
final private[shard] class BytesBuffer(
    column: LeafColumn,
    isText: Boolean,
    descriptor: ColumnDescriptor,
    limits: RowGroupLimits
) extends ColumnBuffer {
  private val records = new GrowableBytes(limits, column.name)
  private val levels = new Runs
  private val classes = if (isText) Some(new StringCounter) else None
  private var total = ColumnSummary.empty
  private var nulls = 0

  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(column.structs)
    else
      levels.append(column.structs + 1) + (row match {
        case unsafe: UnsafeRow =>
          val offsetAndSize = unsafe.getLong(ordinal)
          record(unsafe.getBaseObject, unsafe.getBaseOffset + (offsetAndSize >>> 32), offsetAndSize.toInt)
        case _ if isText =>
          val text = row.getUTF8String(ordinal)
          record(text.getBaseObject, text.getBaseOffset, text.numBytes())
        case _ =>
          val bytes = row.getBinary(ordinal)
          record(bytes, BYTE_ARRAY_OFFSET.toLong, bytes.length)
      })

  override def addNull(definition: Int): Long = {
    nulls += 1
    1 + levels.append(definition)
  }

  private def record(base: AnyRef, offset: Long, length: Int): Long = {
    val at = records.append(length + 4L)
    Platform.putInt(records.data, BYTE_ARRAY_OFFSET + at, length)
    Platform.copyMemory(base, offset, records.data, BYTE_ARRAY_OFFSET + at + 4, length.toLong)
    length + 4L
  }

  override def flush(file: ShardFile, rows: Int): ChunkSummary = {
    val (starts, lengths) = index(rows)
    val statistics = chunkStatistics(starts, rows)
    classes.foreach(counter => eachRecord(starts)(counter.add(records.data, _, _)))
    total = total.merge(ColumnSummary(rows.toLong, nulls.toLong, 0, Shape.Unseen, lengths, None, None))
    val definition = new LevelEncoder(column.structs + 1, limits, column.name)
    levels.foreach((level, times) => definition.repeat(level, times.toLong))
    val from = records.prepend(ColumnBuffer.levels(records, None, definition))
    val page =
      Page(
        rows,
        records.data,
        from,
        records.from,
        records.until,
        statistics,
        raw = true,
        index = Some(starts)
      )
    val chunk = file.write(descriptor, page, rows)
    records.clear()
    levels.clear()
    nulls = 0
    chunk
  }

  override def reserve(times: Double): Unit = records.reserve((records.size * times).toLong, 0)

  override def summary: ColumnSummary = total.copy(classes = classes.flatMap(_.result))

  /** Where each row's record starts, and the least and greatest length. */
  private def index(rows: Int): (Array[Int], Option[(Int, Int)]) = {
    val starts = new Array[Int](rows + 1)
    var row = 0
    var at = 0
    var least = Int.MaxValue
    var greatest = -1
    levels.foreach { (level, times) =>
      var i = 0
      while (i < times) {
        if (level > column.structs) {
          val length = Platform.getInt(records.data, BYTE_ARRAY_OFFSET + records.from + at)
          at += length + 4
          least = math.min(least, length)
          greatest = math.max(greatest, length)
        }
        row += 1
        starts(row) = at
        i += 1
      }
    }
    (starts, if (greatest < 0) None else Some((least, greatest)))
  }

  /** Calls `record(start, length)` of the bytes of each row that is not null. */
  private def eachRecord(starts: Array[Int])(record: (Int, Int) => Unit): Unit = {
    var row = 0
    while (row < starts.length - 1) {
      if (starts(row + 1) > starts(row)) record(records.from + starts(row) + 4, starts(row + 1) - starts(row) - 4)
      row += 1
    }
  }

  /** Least and greatest as unsigned bytes, which is the order of strings and of binaries. Parquet keeps no statistics that
    * are long, so long values are not even copied for them.
    */
  private def chunkStatistics(starts: Array[Int], rows: Int): Statistics[_] = {
    val statistics = Statistics.createStats(descriptor.getPrimitiveType)
    statistics.incrementNumNulls(nulls.toLong)
    if (nulls == rows) return statistics
    val data = records.data
    var (minAt, minLength, maxAt, maxLength) = (-1, 0, -1, 0)
    eachRecord(starts) { (at, length) =>
      if (minAt < 0) {
        minAt = at
        minLength = length
        maxAt = at
        maxLength = length
      } else if (Arrays.compareUnsigned(data, at, at + length, data, minAt, minAt + minLength) < 0) {
        minAt = at
        minLength = length
      } else if (Arrays.compareUnsigned(data, at, at + length, data, maxAt, maxAt + maxLength) > 0) {
        maxAt = at
        maxLength = length
      }
    }
    if (minLength.toLong + maxLength >= BytesBuffer.MaxStatisticsBytes)
      Statistics.getBuilderForReading(descriptor.getPrimitiveType).build()
    else {
      // Copies: the buffer is used again before the footer is written.
      statistics.updateStats(Binary.fromConstantByteArray(Arrays.copyOfRange(data, minAt, minAt + minLength)))
      statistics.updateStats(Binary.fromConstantByteArray(Arrays.copyOfRange(data, maxAt, maxAt + maxLength)))
      statistics
    }
  }
}

private[shard] object BytesBuffer {

  /** Of the least and the greatest value together. */
  private val MaxStatisticsBytes = 4096
}
