package io.dlcache.shard.file

import java.io.{BufferedOutputStream, File}
import java.nio.{ByteBuffer, ByteOrder}
import java.nio.file.{Files, StandardOpenOption}
import java.util.zip.CRC32

import scala.jdk.CollectionConverters._

import io.dlcache.shard.ChunkSummary
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumFileSystem, FSDataOutputStream, FileSystem, Path}
import org.apache.hadoop.fs.{RawLocalFileSystem, StreamCapabilities}
import org.apache.parquet.bytes.BytesInput
import org.apache.parquet.column.{ColumnDescriptor, Encoding, ParquetProperties}
import org.apache.parquet.format.{DataPageHeader, PageHeader, PageType, Util}
import org.apache.parquet.format.{Encoding => FormatEncoding}
import org.apache.parquet.hadoop.{ColumnChunkPageWriteStore, ParquetFileWriter}
import org.apache.parquet.io.{OutputFile, PositionOutputStream}
import org.apache.parquet.schema.MessageType

/** The Parquet file of a shard while it is written. Nothing but this class knows where things lie in it.
  *
  * The file is created at once and must not exist. Hadoop's `.crc` files are not written beside it: the pages and the
  * manifest have checksums of their own.
  */
final private[shard] class ShardFile(path: Path, conf: Configuration, schema: MessageType, compression: Compression) {
  private val fileSystem: FileSystem = path.getFileSystem(conf) match {
    case checksummed: ChecksumFileSystem => checksummed.getRawFileSystem
    case plain => plain
  }
  private val stream: FSDataOutputStream = fileSystem match {
    case local: RawLocalFileSystem if local.getUri.getScheme == "file" =>
      ShardFile.createLocally(local.pathToFile(path))
    case other => other.create(path, false)
  }
  private val out = new Crc32Output(stream)
  private val writer = new ParquetFileWriter(
    new OpenFile(out),
    schema,
    ParquetFileWriter.Mode.CREATE,
    ParquetProperties.DEFAULT_PAGE_SIZE.toLong,
    0,
    ParquetProperties.DEFAULT_COLUMN_INDEX_TRUNCATE_LENGTH,
    ParquetProperties.DEFAULT_STATISTICS_TRUNCATE_LENGTH,
    true
  )

  /** Bytes written. */
  def bytes: Long = out.getPos
  def crc32: Long = out.value

  /** Must be called first. */
  def start(): Unit = writer.start()

  def startRowGroup(rows: Int): Unit = writer.startBlock(rows.toLong)
  def endRowGroup(): Unit = writer.endBlock()

  /** Writes a column chunk of one page, and its row index behind it. */
  def write(column: ColumnDescriptor, page: Page, rows: Int): ChunkSummary = {
    writer.startColumn(column, page.valueCount.toLong, compression.codec)
    val chunk = if (compression.isOn) writeCompressed(page, rows) else writePlain(page, rows)
    writer.endColumn()
    page.index.filter(_ => chunk.isRaw).fold(chunk)(index => chunk.copy(indexOffset = writeIndex(index)))
  }

  /** Writes the column chunks that Parquet's own column writers made. */
  def write(store: ColumnChunkPageWriteStore): Unit = store.flushToFileWriter(writer)

  /** Writes the footer and closes the file. */
  def close(metadata: Map[String, String]): Unit = writer.end(metadata.asJava)

  /** Closes the file and deletes it; where the store can, it never becomes visible. */
  def abort(): Unit =
    try {
      if (stream.hasCapability(StreamCapabilities.ABORTABLE_STREAM)) stream.abort()
      stream.close()
    } finally fileSystem.delete(path, false)

  private def writePlain(page: Page, rows: Int): ChunkSummary = {
    val length = page.until - page.from
    val crc = new CRC32
    crc.update(page.data, page.from, length)
    val header = headerBytes(length, page.valueCount, crc.getValue)
    val levels = page.valuesFrom - page.from
    if (page.raw) {
      val alignment = ShardFile.alignment(length - levels, rows)
      pad(out.getPos + header + levels, alignment)
    }
    // Parquet would copy an array to compute its CRC, a buffer not; it hands the buffer over in small pieces.
    out.announce(out.getPos + header, page.data, page.from, length, crc.getValue)
    writePage(page, BytesInput.from(ByteBuffer.wrap(page.data, page.from, length)), rows)
    if (page.raw) {
      val values = page.until - page.valuesFrom
      ChunkSummary(out.getPos - values, values.toLong, ChunkSummary.None)
    } else ChunkSummary.NotRaw
  }

  private def writeCompressed(page: Page, rows: Int): ChunkSummary = {
    val bytes = compression.compress(BytesInput.from(page.data, page.from, page.until - page.from))
    writePage(page, bytes, rows)
    ChunkSummary.NotRaw
  }

  private def writePage(page: Page, bytes: BytesInput, rows: Int): Unit =
    writer.writeDataPage(
      page.valueCount,
      page.until - page.from,
      bytes,
      page.statistics,
      rows.toLong,
      Encoding.RLE,
      Encoding.RLE,
      Encoding.PLAIN
    )

  private def writeIndex(index: Array[Int]): Long = {
    pad(out.getPos, ShardFile.Alignment)
    val at = out.getPos
    val bytes = ByteBuffer.allocate(index.length * 4).order(ByteOrder.LITTLE_ENDIAN)
    bytes.asIntBuffer().put(index)
    out.write(bytes.array(), 0, index.length * 4)
    at
  }

  /** Writes as many zeros as bring what would lie at `position` to a multiple of `alignment`. */
  private def pad(position: Long, alignment: Int): Unit =
    out.write(ShardFile.Zeros, 0, Math.floorMod(-position, alignment.toLong).toInt)

  /** How long the page header will be: it depends on the sizes and on the checksum, which are of variable length. */
  private def headerBytes(length: Int, valueCount: Int, crc: Long): Int = {
    val data = new DataPageHeader(valueCount, FormatEncoding.PLAIN, FormatEncoding.RLE, FormatEncoding.RLE)
    val header = new PageHeader(PageType.DATA_PAGE, length, length)
    header.setData_page_header(data)
    header.setCrc(crc.toInt)
    val bytes = new java.io.ByteArrayOutputStream(64)
    Util.writePageHeader(header, bytes)
    bytes.size
  }

  final private class OpenFile(out: PositionOutputStream) extends OutputFile {
    override def create(blockSizeHint: Long): PositionOutputStream = out
    override def createOrOverwrite(blockSizeHint: Long): PositionOutputStream = out
    override def supportsBlockSize: Boolean = false
    override def defaultBlockSize: Long = 0
    override def getPath: String = path.toString
  }
}

private[shard] object ShardFile {
  private val LocalBufferBytes = 1 << 16

  val Alignment = 64

  /** Of the values of large chunks, where their rows are of no use. */
  private val LargeAlignment = 512
  private val LargeBytes = 1 << 16
  private val MostAlignment = 1 << 16
  private val Zeros = new Array[Byte](MostAlignment)

  /** Of which number the start of so many bytes of values is a multiple: of the width of a row too, where all rows have
    * one. Then readers see the rows of all row groups as one array.
    */
  private[shard] def alignment(bytes: Int, rows: Int): Int = {
    val width = if (rows > 0 && bytes % rows == 0) bytes / rows else 0
    val both = if (width > 0) width / BigInt(width).gcd(Alignment).toLong * Alignment else Long.MaxValue
    if (both <= MostAlignment) both.toInt else if (bytes >= LargeBytes) LargeAlignment else Alignment
  }

  /** With the permissions of the process's umask. Hadoop's local file system would set others, which may be wider. */
  private def createLocally(file: File): FSDataOutputStream = {
    Files.createDirectories(file.getParentFile.toPath)
    val out = Files.newOutputStream(file.toPath, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)
    new FSDataOutputStream(new BufferedOutputStream(out, LocalBufferBytes), null)
  }
}
