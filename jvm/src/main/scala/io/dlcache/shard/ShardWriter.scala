package io.dlcache.shard

import scala.collection.mutable.ArrayBuffer

import io.dlcache.shard.buffer._
import io.dlcache.shard.file.{Compression, ShardFile}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.parquet.column.ColumnDescriptor
import org.apache.parquet.hadoop.metadata.CompressionCodecName
import org.apache.spark.SPARK_VERSION
import org.apache.spark.sql.catalyst.InternalRow

/** @param rowGroupBytes a row group is complete when this much is buffered; at most 1 GiB
  * @param compression `uncompressed`, `snappy`, `zstd`, `gzip` or `lz4_raw`
  */
final private[dlcache] case class ShardOptions(rowGroupBytes: Long, compression: String = "uncompressed") {
  require(
    rowGroupBytes >= 1 && rowGroupBytes <= ShardOptions.MaxRowGroupBytes,
    s"rowGroupBytes is $rowGroupBytes, but must be from 1 to ${ShardOptions.MaxRowGroupBytes}"
  )

  private[shard] val codec: CompressionCodecName = ShardOptions.codecs.getOrElse(
    compression,
    throw new IllegalArgumentException(
      s"compression is '$compression', but must be one of ${ShardOptions.compressions.mkString(", ")}"
    )
  )
}

private[dlcache] object ShardOptions {
  val MaxRowGroupBytes: Long = 1L << 30

  private val codecs = Map(
    "uncompressed" -> CompressionCodecName.UNCOMPRESSED,
    "snappy" -> CompressionCodecName.SNAPPY,
    "zstd" -> CompressionCodecName.ZSTD,
    "gzip" -> CompressionCodecName.GZIP,
    "lz4_raw" -> CompressionCodecName.LZ4_RAW
  )

  val compressions: Seq[String] = codecs.keys.toSeq.sorted
}

/** Writes rows to one shard. The caller writes rows, closes the shard and starts the next whenever [[mustRoll]] says so,
  * and calls [[abort]] instead of [[close]] after any error.
  *
  * The file comes into being with the first complete row group, so a writer without rows leaves nothing. Memory: what is
  * buffered of one row group, at most twice `rowGroupBytes` and one row if the caller rolls when told to, in arrays that
  * are up to twice as large while they grow; besides, the levels and the row index of one column while it is written, and
  * a page that is compressed a second time.
  *
  * @param path must not exist
  */
final private[dlcache] class ShardWriter(
    path: Path,
    conf: Configuration,
    layout: ShardLayout,
    options: ShardOptions,
    limits: RowGroupLimits
) {
  def this(path: Path, conf: Configuration, layout: ShardLayout, options: ShardOptions) =
    this(path, conf, layout, options, RowGroupLimits(options.rowGroupBytes))

  private val message = layout.message
  private val compression = new Compression(conf, options.codec)
  private val columns = descriptors.map { case (column, descriptor) => buffer(column, descriptor) }
  private val fields = {
    val remaining = columns.iterator
    layout.fields.map(fieldBuffer(_, 0, remaining)).toArray
  }
  private val ordinals = layout.ordinals.toArray
  private val chunks = Array.fill(columns.size)(ArrayBuffer.empty[ChunkSummary])

  private var file: Option[ShardFile] = None
  private var rowGroupRows = 0
  private var bufferedRows = 0
  private var bufferedBytes = 0L
  private var isReserved = false
  private var flushedRows = 0L
  private var flushedBytes = 0L
  private var hasShortGroups = false

  /** Rows taken so far. */
  def rows: Long = flushedRows + bufferedRows

  /** Bytes written and buffered: about what the file will have, without compression. */
  def bytes: Long = flushedBytes + bufferedBytes

  /** Whether the shard should be closed before the next row. All its row groups have the number of rows of the first, so
    * it cannot go on well if rows have become much larger (the buffer would outgrow its bound) or much smaller (row groups
    * would be tiny).
    */
  def mustRoll: Boolean =
    rowGroupRows > 0 && (bufferedBytes > math.min(2 * options.rowGroupBytes, limits.buffered) || hasShortGroups)

  /** Takes a row; it may be reused by the caller afterwards. */
  def write(row: InternalRow): Unit = {
    var i = 0
    while (i < fields.length) {
      bufferedBytes += fields(i).add(row, ordinals(i))
      i += 1
    }
    bufferedRows += 1
    if (rowGroupRows == 0) {
      if (!isReserved && bufferedBytes >= options.rowGroupBytes / ShardWriter.Sample) reserve()
      if (isRowGroup || bufferedRows == limits.rows) {
        rowGroupRows = bufferedRows
        flush()
      }
    } else if (bufferedRows == rowGroupRows) {
      hasShortGroups = bufferedBytes < options.rowGroupBytes / 4
      flush()
    }
  }

  /** Whether the first row group is large enough. If it has many rows it ends at a round number of them, a little later:
    * batches of the usual sizes then lie in one row group each, as one piece of memory.
    */
  private def isRowGroup: Boolean = bufferedBytes >= options.rowGroupBytes &&
    (bufferedRows < ShardWriter.ManyRows || bufferedBytes >= ShardWriter.MostWaiting * options.rowGroupBytes ||
      bufferedRows % math.max(ShardWriter.Round, Integer.highestOneBit(bufferedRows / 32)) == 0)

  /** Writes what is left and closes the file. A shard without rows has no file, and a summary of 0 rows and 0 bytes. */
  def close(): ShardSummary = {
    if (bufferedRows > 0) {
      if (rowGroupRows == 0) rowGroupRows = bufferedRows
      flush()
    }
    file.foreach(_.close(metadata))
    compression.release()
    ShardSummary(
      flushedRows,
      file.fold(0L)(_.bytes),
      file.fold(0L)(_.crc32),
      rowGroupRows,
      chunks.toSeq.map(each => if (each.exists(_.isRaw)) Some(each.toSeq) else None),
      columns.map(_.summary)
    )
  }

  /** Closes the file and deletes it. Does nothing if no file was made. */
  def abort(): Unit = {
    compression.release()
    file.foreach(_.abort())
    file = None
  }

  /** The rows so far show how much each column has of a row group, so that buffers need not grow step by step. */
  private def reserve(): Unit = {
    isReserved = true
    val times = ShardWriter.Slack * options.rowGroupBytes / bufferedBytes
    if (times > 1) columns.foreach(_.reserve(times))
  }

  private def flush(): Unit = {
    val open = file.getOrElse(create())
    open.startRowGroup(bufferedRows)
    columns.indices.foreach(i => chunks(i) += columns(i).flush(open, bufferedRows))
    open.endRowGroup()
    flushedRows += bufferedRows
    flushedBytes = open.bytes
    bufferedRows = 0
    bufferedBytes = 0
  }

  private def create(): ShardFile = {
    val created = new ShardFile(path, conf, message, compression)
    file = Some(created)
    created.start()
    created
  }

  private def metadata: Map[String, String] = Map(
    "org.apache.spark.sql.parquet.row.metadata" -> layout.schema.json,
    // Spark would take dates of an unknown writer for those of the hybrid calendar.
    "org.apache.spark.version" -> SPARK_VERSION,
    "dlcache.format-version" -> "1"
  )

  /** Each column with the Parquet column that starts it. */
  private def descriptors: Seq[(LeafColumn, ColumnDescriptor)] =
    layout.columns.map { column =>
      val first = ParquetSchema.message(column.path, column.dataType).getColumns.get(0)
      column -> message.getColumnDescription(first.getPath)
    }

  private def buffer(column: LeafColumn, descriptor: ColumnDescriptor): ColumnBuffer =
    column.strategy match {
      case ColumnStrategy.Scalar(value) => new ScalarBuffer(column, value, descriptor, limits)
      case ColumnStrategy.Lists(value, depth) => new ListBuffer(column, value, depth, descriptor, limits)
      case ColumnStrategy.Vector(value) => new VectorBuffer(column, value, descriptor, limits)
      case ColumnStrategy.Packed(values, names, ordinals) =>
        new PackedBuffer(column, values, names, ordinals.toArray, descriptor, limits)
      case ColumnStrategy.Text => new BytesBuffer(column, isText = true, descriptor, limits)
      case ColumnStrategy.Binary => new BytesBuffer(column, isText = false, descriptor, limits)
      case _: ColumnStrategy.LargeDecimal | ColumnStrategy.Untyped | ColumnStrategy.Nested =>
        new NestedBuffer(column, limits, compression.pageStore)
    }

  private def fieldBuffer(node: LayoutNode, structs: Int, remaining: Iterator[ColumnBuffer]): FieldBuffer = node match {
    case _: LeafColumn => remaining.next()
    case StructLayout(inner) =>
      new StructBuffer(inner.map(fieldBuffer(_, structs + 1, remaining)).toArray, structs)
  }
}

private[shard] object ShardWriter {

  /** What part of a row group shows how much its columns will have. */
  private val Sample = 8
  private val Slack = 1.0625

  private val ManyRows = 4096
  private val Round = 256
  private val MostWaiting = 1.125
}
