package io.dlcache.shard.file

import java.util.zip.CRC32

import org.apache.hadoop.fs.{FSDataOutputStream, StreamCapabilities}
import org.apache.parquet.io.PositionOutputStream

/** A file that is being written, with the CRC-32 of everything written so far. A range of bytes that is announced, with its
  * CRC-32, is not read again for it: CRCs combine.
  */
final private[shard] class Crc32Output(out: FSDataOutputStream) extends PositionOutputStream {
  private val crc = new CRC32
  private var announced: Announced = _
  // Bytes of the announced range that are in the file, but were not handed over yet.
  private var ahead = 0
  // The CRC of the bytes before those that `crc` has seen.
  private var before = 0L
  private var beforeBytes = 0L
  private var position = 0L

  /** The CRC-32 of all bytes. */
  def value: Long = Crc32.combine(before, crc.getValue, position - beforeBytes)

  /** When the file has come to the position `at`, exactly this range of this array will be written, in pieces of any size.
    * It then goes out as a whole, from the array itself, and the pieces are only counted.
    */
  def announce(at: Long, array: Array[Byte], offset: Int, length: Int, crc: Long): Unit =
    announced = Announced(at, array, offset, length, crc)

  override def getPos: Long = position - ahead

  override def write(byte: Int): Unit = write(Array(byte.toByte), 0, 1)

  override def write(bytes: Array[Byte], offset: Int, length: Int): Unit = {
    if (ahead == 0 && announced != null && announced.at == position) writeAnnounced()
    val known = math.min(ahead, length)
    ahead -= known
    if (known < length) {
      writePieces(bytes, offset + known, length - known)
      crc.update(bytes, offset + known, length - known)
      position += length - known
    }
  }

  private def writeAnnounced(): Unit = {
    val range = announced
    announced = null
    writePieces(range.array, range.offset, range.length)
    before = Crc32.combine(value, range.crc, range.length.toLong)
    position += range.length
    beforeBytes = position
    crc.reset()
    ahead = range.length
  }

  /** Java's file stream copies what it writes into native memory; small pieces stay in the processor's cache. A piece is a
    * huge page of the file: what is written so, Linux keeps and maps as one, which makes random reads of it faster.
    */
  private def writePieces(bytes: Array[Byte], offset: Int, length: Int): Unit = {
    var at = 0
    while (at < length) {
      val piece = math.min(length - at, Crc32Output.Piece - ((position + at) % Crc32Output.Piece).toInt)
      out.write(bytes, offset + at, piece)
      at += piece
    }
  }

  override def flush(): Unit = out.flush()

  override def close(): Unit = {
    if (out.hasCapability(StreamCapabilities.HSYNC)) out.hsync()
    out.close()
  }

  private case class Announced(at: Long, array: Array[Byte], offset: Int, length: Int, crc: Long)
}

private[shard] object Crc32Output {
  private val Piece = 1 << 21
}
