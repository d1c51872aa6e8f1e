package io.dlcache.shard.buffer

import io.dlcache.shard.RowGroupLimits

/** Parquet's RLE / bit-packing hybrid for levels, fed with runs instead of single levels.
  *
  * @param maxLevel levels are 0 to maxLevel, at most 255
  * @param limits of the row group
  * @param column for the error if the levels outgrow an array
  */
final private[shard] class LevelEncoder(maxLevel: Int, limits: RowGroupLimits, column: => String) {
  require(maxLevel >= 1 && maxLevel <= 255, s"a level of $maxLevel does not fit in a byte")
  private val bitWidth = 32 - Integer.numberOfLeadingZeros(maxLevel)

  private val out = new GrowableBytes(limits, column)

  // A run of equal levels that is not written yet.
  private var runLevel = -1
  private var runCount = 0L
  // Levels that wait for their group of eight, lowest bits first.
  private var group = 0L
  private var grouped = 0
  // Where the header of the open run of bit-packed groups is, or -1.
  private var packedHeader = -1
  private var packedGroups = 0

  /** The encoded bytes are `size` from `from` on. */
  def bytes: Array[Byte] = out.data
  def from: Int = out.from
  def size: Int = out.size

  def repeat(level: Int, count: Long): Unit =
    if (count > 0) {
      if (level == runLevel) runCount += count
      else {
        writeRun()
        runLevel = level
        runCount = count
      }
    }

  /** Ends the encoding; a group that is not full is filled with zeros, which readers do not look at. */
  def finish(): Unit = {
    writeRun()
    if (grouped > 0) {
      grouped = 8
      writeGroup()
    }
    packedHeader = -1
  }

  /** Encodes `times` (at least 1) times what `pattern` encodes, in a new encoder, by copying bytes wherever a number of patterns fills whole groups. */
  def repeatPattern(times: Long)(pattern: LevelEncoder => Unit): Unit = {
    require(size == 0 && grouped == 0 && runCount == 0, "patterns can only be repeated from the start")
    val block = new LevelEncoder(maxLevel, limits, column)
    var patterns = 0L
    do {
      pattern(block)
      block.writeRun()
      patterns += 1
    } while (patterns < times && patterns < 4096 && (block.grouped > 0 || block.size < 64))
    if (block.grouped > 0) {
      var i = 0L
      while (i < times) {
        pattern(this)
        i += 1
      }
    } else {
      val blocks = times / patterns
      append(block.out, blocks)
      var i = blocks * patterns
      while (i < times) {
        pattern(this)
        i += 1
      }
    }
  }

  private def writeRun(): Unit = {
    var count = runCount
    runCount = 0
    // An open group takes what it needs; then what fills less than a group begins one.
    while (count > 0 && grouped > 0) {
      pack(runLevel)
      count -= 1
    }
    if (count >= 8) {
      packedHeader = -1
      writeVarint(count << 1)
      put(runLevel.toByte)
    } else
      while (count > 0) {
        pack(runLevel)
        count -= 1
      }
    runLevel = -1
  }

  private def pack(level: Int): Unit = {
    group |= level.toLong << (grouped * bitWidth)
    grouped += 1
    if (grouped == 8) writeGroup()
  }

  private def writeGroup(): Unit = {
    if (packedHeader < 0 || packedGroups == 63) {
      packedHeader = out.append(1)
      packedGroups = 0
    }
    val at = out.append(bitWidth.toLong)
    var i = 0
    while (i < bitWidth) {
      out.data(at + i) = (group >>> (8 * i)).toByte
      i += 1
    }
    packedGroups += 1
    out.data(packedHeader) = (packedGroups << 1 | 1).toByte
    group = 0
    grouped = 0
  }

  private def writeVarint(value: Long): Unit = {
    var rest = value
    while ((rest & ~0x7f) != 0) {
      put((rest & 0x7f | 0x80).toByte)
      rest >>>= 7
    }
    put(rest.toByte)
  }

  private def put(byte: Byte): Unit = {
    val at = out.append(1)
    out.data(at) = byte
  }

  private def append(block: GrowableBytes, times: Long): Unit = {
    var at = out.append(block.size * times)
    var i = 0L
    while (i < times) {
      System.arraycopy(block.data, block.from, out.data, at, block.size)
      at += block.size
      i += 1
    }
  }
}
