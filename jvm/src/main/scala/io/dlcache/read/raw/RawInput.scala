package io.dlcache.read.raw

import org.apache.hadoop.fs.FSDataInputStream

/** Reads ranges of a shard.
  *
  * @param isLocal whether it is a file of this machine: then Java reads through native memory of the size of the read,
  *   which it also keeps, so that small pieces, which stay in the processor's cache, are faster
  */
final private[read] class RawInput(stream: FSDataInputStream, isLocal: Boolean) extends AutoCloseable {
  private val piece = if (isLocal) RawInput.LocalPiece else Int.MaxValue

  def readFully(position: Long, to: Array[Byte], length: Int): Unit = {
    var at = 0
    while (at < length) {
      val bytes = math.min(piece, length - at)
      stream.readFully(position + at, to, at, bytes)
      at += bytes
    }
  }

  override def close(): Unit = stream.close()
}

private[read] object RawInput {
  private val LocalPiece = 1 << 18
}
