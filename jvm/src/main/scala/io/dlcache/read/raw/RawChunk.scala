package io.dlcache.read.raw

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.ChunkEntry
import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.{BYTE_ARRAY_OFFSET, INT_ARRAY_OFFSET}

/** Holds the chunk of one column of one row group, and then the next one in the same memory. */
final private[read] class RawChunk(column: RawColumn, input: RawInput, name: String) {

  /** The bytes of the values as they lie in the file; the array may be longer. */
  var data: Array[Byte] = Array.emptyByteArray

  /** Where rows start, and where the last one ends, if the column has an index. */
  var starts: Array[Int] = Array(0)

  def load(entry: ChunkEntry, rows: Int): Unit = {
    val size = entry.valuesBytes.toInt
    if (data.length < size) data = new Array[Byte](size)
    input.readFully(entry.valuesOffset, data, size)
    if (column.isIndexed) loadIndex(entry, rows)
  }

  private def loadIndex(entry: ChunkEntry, rows: Int): Unit = {
    val bytes = new Array[Byte](4 * (rows + 1))
    input.readFully(entry.indexOffset, bytes, bytes.length)
    val read = new Array[Int](rows + 1)
    Platform.copyMemory(bytes, BYTE_ARRAY_OFFSET.toLong, read, INT_ARRAY_OFFSET.toLong, bytes.length.toLong)
    check(read, entry.valuesBytes)
    starts = read
  }

  /** What the index says is believed without another look: memory is read where it points. */
  private def check(starts: Array[Int], valuesBytes: Long): Unit = {
    val (unit, least) = if (column.isRecords) (1, RawChunk.LengthBytes) else (column.width, 0)
    var isGood = starts(0) == 0 && starts.last.toLong * unit <= valuesBytes
    var i = 1
    while (i < starts.length && isGood) {
      val length = starts(i) - starts(i - 1)
      isGood = length >= least || length == 0 && (!column.isRecords || column.mayBeNull)
      i += 1
    }
    if (!isGood) throw DlcacheErrors.shardDamaged(name, "a row index leads out of its chunk")
  }
}

private[read] object RawChunk {

  /** Of the length in front of a string or binary. */
  val LengthBytes = 4
}
