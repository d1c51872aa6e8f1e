package io.dlcache.shard.buffer

import java.nio.{ByteBuffer, ByteOrder}
import java.util.Arrays

import io.dlcache.shard.file.{Page, ShardFile}
import io.dlcache.shard.{ChunkSummary, ColumnSummary, Stored}
import org.apache.parquet.column.statistics.Statistics
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters

/** Takes one field of each row. `add` and `addNull` return by how many bytes the buffered data grew: at least one for each
  * value, null and list, so that no count of them can outgrow the row group's bytes.
  */
private[shard] trait FieldBuffer {

  /** Takes the field of `row` at `ordinal`, null or not. */
  def add(row: SpecializedGetters, ordinal: Int): Long

  /** Takes a null because a struct around the field is null; `definition` says which (0 is the outermost). */
  def addNull(definition: Int): Long
}

/** The fields of a struct; `structs` is the number of structs around it. */
final private[shard] class StructBuffer(fields: Array[FieldBuffer], structs: Int) extends FieldBuffer {
  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(structs)
    else {
      val struct = row.getStruct(ordinal, fields.length)
      var bytes = 0L
      var i = 0
      while (i < fields.length) {
        bytes += fields(i).add(struct, i)
        i += 1
      }
      bytes
    }

  override def addNull(definition: Int): Long = {
    var bytes = 0L
    var i = 0
    while (i < fields.length) {
      bytes += fields(i).addNull(definition)
      i += 1
    }
    bytes
  }
}

/** One column of the manifest: its rows since the last flush, and the summary of all rows before. */
private[shard] trait ColumnBuffer extends FieldBuffer {

  /** Writes the buffered rows as column chunks and empties the buffer. */
  def flush(file: ShardFile, rows: Int): ChunkSummary

  /** Makes room for `times` as much as is buffered now. */
  def reserve(times: Double): Unit

  /** Of all rows that were flushed. */
  def summary: ColumnSummary
}

private[shard] object ColumnBuffer {

  /** The levels of a page as they precede its `values`: each with its length, repetition levels only where there are
    * lists.
    */
  def levels(values: GrowableBytes, repetition: Option[LevelEncoder], definition: LevelEncoder): Array[Byte] = {
    val encoders = repetition.toSeq :+ definition
    encoders.foreach(_.finish())
    val size = encoders.map(_.size + 4L).sum
    values.requireRoom(size)
    val bytes = ByteBuffer.allocate(size.toInt).order(ByteOrder.LITTLE_ENDIAN)
    encoders.foreach(encoder => bytes.putInt(encoder.size).put(encoder.bytes, encoder.from, encoder.size))
    bytes.array()
  }

  /** The page of the buffered `values` behind `levels`. Booleans are packed here; others are not touched. */
  def page(
      values: GrowableBytes,
      stored: Stored,
      levels: Array[Byte],
      valueCount: Int,
      statistics: Statistics[_],
      raw: Boolean,
      index: Option[Array[Int]] = None
  ): Page =
    if (stored == Stored.Bit) {
      val bytes = packed(levels, values)
      Page(valueCount, bytes, 0, levels.length, bytes.length, statistics, raw, index)
    } else {
      val from = values.prepend(levels)
      Page(valueCount, values.data, from, values.from, values.until, statistics, raw, index)
    }

  private def packed(levels: Array[Byte], values: GrowableBytes): Array[Byte] = {
    val size = levels.length + (values.size + 7L) / 8
    values.requireRoom(size)
    val bytes = Arrays.copyOf(levels, size.toInt)
    var i = 0
    while (i < values.size) {
      val at = levels.length + (i >> 3)
      bytes(at) = (bytes(at) | values.data(values.from + i) << (i & 7)).toByte
      i += 1
    }
    bytes
  }
}
