package io.dlcache.shard

import java.util.zip.CRC32

import org.apache.hadoop.fs.FSDataOutputStream
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

  override def close(): Unit = out.close()

  private case class Announced(at: Long, array: Array[Byte], offset: Int, length: Int, crc: Long)
}

private[shard] object Crc32Output {
  private val Piece = 1 << 21
}

private[shard] object Crc32 {
  private val Polynomial = 0xedb88320L

  /** The CRC-32 of a text of which `first` is the CRC of the head and `second` of the last `secondBytes` bytes: appending
    * zeros is a linear map over GF(2), applied here by squaring the one for a single zero bit.
    */
  def combine(first: Long, second: Long, secondBytes: Long): Long =
    if (secondBytes == 0) first
    else {
      val oneBit = Array.tabulate(32)(bit => if (bit == 0) Polynomial else 1L << (bit - 1))
      var power = square(square(square(oneBit)))
      var rest = secondBytes
      var result = first
      while (rest != 0) {
        if ((rest & 1) != 0) result = times(power, result)
        rest >>= 1
        if (rest != 0) power = square(power)
      }
      result ^ second
    }

  private def times(matrix: Array[Long], vector: Long): Long = {
    var sum = 0L
    var bit = 0
    while (bit < 32) {
      if ((vector >>> bit & 1) != 0) sum ^= matrix(bit)
      bit += 1
    }
    sum
  }

  private def square(matrix: Array[Long]): Array[Long] = matrix.map(times(matrix, _))
}
