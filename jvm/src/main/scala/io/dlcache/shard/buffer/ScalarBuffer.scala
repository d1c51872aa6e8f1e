package io.dlcache.shard.buffer

import scala.language.existentials

import io.dlcache.shard.file.ShardFile
import io.dlcache.shard._
import org.apache.parquet.column.ColumnDescriptor
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters

/** Scalars of fixed width. Values that are not null lie one after another; the nulls are in the levels. */
final private[shard] class ScalarBuffer(
    column: LeafColumn,
    value: ValueType,
    descriptor: ColumnDescriptor,
    limits: RowGroupLimits
) extends ColumnBuffer {
  private val copy = value.copy
  private val width = copy.width.toLong
  private val values = new GrowableBytes(limits, column.name)
  private val levels = new Runs
  private val classes = if (value.logical.isEmpty && value.stored.isDiscrete) Some(new IntegerCounter) else None
  private var total = ColumnSummary.empty
  private var nulls = 0

  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(column.structs)
    else {
      val at = values.append(width)
      copy.one(row, ordinal, values.data, at)
      width + levels.append(column.structs + 1)
    }

  override def addNull(definition: Int): Long = {
    nulls += 1
    1 + levels.append(definition)
  }

  override def flush(file: ShardFile, rows: Int): ChunkSummary = {
    val count = rows - nulls
    val scan = NumberScan.all(values.data, values.from, count, value.stored, total.numbers)
    classes.foreach(_.add(values.data, values.from, count, value.stored))
    total = total.merge(ColumnSummary(rows.toLong, nulls.toLong, 0, Shape.Unseen, None, Some(scan.numbers), None))
    val definition = new LevelEncoder(column.structs + 1, limits, column.name)
    levels.foreach((level, times) => definition.repeat(level, times.toLong))
    val statistics = scan.range.statistics(descriptor.getPrimitiveType, nulls.toLong)
    val page =
      ColumnBuffer.page(
        values,
        value.stored,
        ColumnBuffer.levels(values, None, definition),
        rows,
        statistics,
        nulls == 0
      )
    val chunk = file.write(descriptor, page, rows)
    values.clear()
    levels.clear()
    nulls = 0
    chunk
  }

  override def reserve(times: Double): Unit = values.reserve((values.size * times).toLong, 0)

  override def summary: ColumnSummary = total.copy(classes = classes.flatMap(_.result))
}
