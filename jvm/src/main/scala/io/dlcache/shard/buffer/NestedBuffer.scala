package io.dlcache.shard.buffer

import io.dlcache.error.DlcacheErrors
import io.dlcache.shard.file.ShardFile
import io.dlcache.shard.{ChunkSummary, ColumnSummary, LeafColumn, ParquetSchema, RowGroupLimits, Shape}
import org.apache.parquet.column.ParquetProperties
import org.apache.parquet.column.impl.ColumnWriteStoreV1
import org.apache.parquet.hadoop.ColumnChunkPageWriteStore
import org.apache.parquet.io.ColumnIOFactory
import org.apache.parquet.schema.MessageType
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters

/** A column of any type, through Parquet's own column writers: one page for each column chunk, no dictionary.
  *
  * @param pageStore makes the store that keeps the pages of one row group until they are written to the file
  */
final private[shard] class NestedBuffer(
    column: LeafColumn,
    limits: RowGroupLimits,
    pageStore: MessageType => ColumnChunkPageWriteStore
) extends ColumnBuffer {
  private val message = ParquetSchema.message(column.path, column.dataType)
  private val columnIO = new ColumnIOFactory().getColumnIO(message)
  private var group = new RowGroup
  private var total = ColumnSummary.empty
  private var nulls = 0
  private var rows = 0L
  private var buffered = 0L

  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(column.structs)
    else {
      open(column.structs)
      group.consumer.startField(column.path.last, 0)
      group.writer.write(row, ordinal)
      group.consumer.endField(column.path.last, 0)
      close(column.structs)
    }

  override def addNull(definition: Int): Long = {
    nulls += 1
    open(definition)
    close(definition)
  }

  /** Starts a record and the first `structs` structs around the column. */
  private def open(structs: Int): Unit = {
    group.consumer.startMessage()
    var i = 0
    while (i < structs) {
      group.consumer.startField(column.path(i), 0)
      group.consumer.startGroup()
      i += 1
    }
  }

  private def close(structs: Int): Long = {
    var i = structs
    while (i > 0) {
      i -= 1
      group.consumer.endGroup()
      group.consumer.endField(column.path(i), 0)
    }
    group.consumer.endMessage()
    rows += 1
    // Encoded nulls may take no bytes, but each counts for something.
    val before = buffered
    buffered = math.max(group.columns.getBufferedSize, rows + group.writer.elements)
    if (buffered > limits.chunk) throw DlcacheErrors.rowGroupTooLarge(column.name, buffered)
    buffered - before
  }

  override def flush(file: ShardFile, rows: Int): ChunkSummary = {
    group.consumer.flush()
    group.columns.flush()
    file.write(group.pages)
    val nullElements = group.writer.nullElements
    total = total.merge(ColumnSummary(rows.toLong, nulls.toLong, nullElements, Shape.Mixed, None, None, None))
    group.columns.close()
    group = new RowGroup
    nulls = 0
    this.rows = 0
    buffered = 0
    ChunkSummary.NotRaw
  }

  /** Parquet's column writers have buffers of their own. */
  override def reserve(times: Double): Unit = ()

  override def summary: ColumnSummary = total

  private class RowGroup {
    val pages: ColumnChunkPageWriteStore = pageStore(message)
    val columns = new ColumnWriteStoreV1(message, pages, NestedBuffer.OnePage)
    val consumer = columnIO.getRecordWriter(columns)
    val writer = new NestedWriter(column.dataType, consumer)
  }
}

private[shard] object NestedBuffer {

  /** Pages are never cut: that is asked only every so many rows. */
  private val OnePage = ParquetProperties
    .builder()
    .withDictionaryEncoding(false)
    .withWriterVersion(ParquetProperties.WriterVersion.PARQUET_1_0)
    .withMinRowCountForPageSizeCheck(Int.MaxValue)
    .withMaxRowCountForPageSizeCheck(Int.MaxValue)
    .withPageRowCountLimit(Int.MaxValue)
    .build()
}
