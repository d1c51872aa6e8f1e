package io.dlcache.shard

import java.io.{ByteArrayInputStream, ByteArrayOutputStream}
import java.nio.{ByteBuffer, ByteOrder}

import scala.jdk.CollectionConverters._

import org.apache.parquet.format.Util

/** The end of a Parquet file: indexes, the footer, its length in four bytes, and a magic number of four. */
private[shard] object Footer {
  private val TailBytes = 8

  /** The same end with each chunk's encodings in the order of their numbers. Parquet lists them as a hash set of this JVM
    * does: the same rows would be other bytes in another one.
    */
  def sorted(end: Array[Byte]): Array[Byte] = {
    val length = ByteBuffer.wrap(end).order(ByteOrder.LITTLE_ENDIAN).getInt(end.length - TailBytes)
    val from = end.length - TailBytes - length
    val metadata = Util.readFileMetaData(new ByteArrayInputStream(end, from, length))
    for (group <- metadata.getRow_groups.asScala; chunk <- group.getColumns.asScala)
      chunk.getMeta_data.getEncodings.sort(null)
    val footer = new ByteArrayOutputStream(length)
    Util.writeFileMetaData(metadata, footer)
    require(footer.size == length, s"a footer of $length bytes became one of ${footer.size}")
    val copy = end.clone()
    System.arraycopy(footer.toByteArray, 0, copy, from, length)
    copy
  }
}
