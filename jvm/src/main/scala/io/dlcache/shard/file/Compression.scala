package io.dlcache.shard.file

import org.apache.hadoop.conf.Configuration
import org.apache.parquet.bytes.{BytesInput, HeapByteBufferAllocator}
import org.apache.parquet.column.ParquetProperties
import org.apache.parquet.compression.CompressionCodecFactory.BytesInputCompressor
import org.apache.parquet.hadoop.{CodecFactory, ColumnChunkPageWriteStore}
import org.apache.parquet.hadoop.metadata.CompressionCodecName
import org.apache.parquet.schema.MessageType

/** The codec of a shard and what it needs while the shard is written. */
final private[shard] class Compression(conf: Configuration, val codec: CompressionCodecName) {
  private val codecs = new CodecFactory(conf, ParquetProperties.DEFAULT_PAGE_SIZE)
  private val compressor: BytesInputCompressor = codecs.getCompressor(codec)

  def isOn: Boolean = codec != CompressionCodecName.UNCOMPRESSED
  def compress(bytes: BytesInput): BytesInput = compressor.compress(bytes)

  /** Keeps the pages that Parquet's own column writers make of one row group. */
  def pageStore(columns: MessageType): ColumnChunkPageWriteStore =
    new ColumnChunkPageWriteStore(
      compressor,
      columns,
      HeapByteBufferAllocator.getInstance(),
      ParquetProperties.DEFAULT_COLUMN_INDEX_TRUNCATE_LENGTH,
      true
    )

  def release(): Unit = codecs.release()
}
