package io.dlcache.shard.buffer

import io.dlcache.error.DlcacheErrors
import io.dlcache.shard.RowGroupLimits

/** A byte array that grows at its end and keeps free room at its front, where a page's levels go when it is flushed: a
  * page is then one range of one array and is written without another copy of its values.
  *
  * @param limits of its row group
  * @param column for the error if the data outgrow an array
  */
final private[shard] class GrowableBytes(limits: RowGroupLimits, column: => String) {
  // Bytes that are likely never exceeded by much: growth stops there first instead of doubling past it.
  private val soft = math.min(limits.expected + limits.expected / 16 + GrowableBytes.Initial, limits.chunk.toLong).toInt
  private var front = 64
  private var limit = front

  var data: Array[Byte] = new Array[Byte](GrowableBytes.Initial)

  /** Where the content starts and ends in `data`. */
  def from: Int = front
  def until: Int = limit
  def size: Int = limit - front

  /** Makes room for `bytes` more and returns where they go. */
  def append(bytes: Long): Int = {
    val at = limit
    if (bytes > data.length - at) grow(at + bytes)
    limit = at + bytes.toInt
    at
  }

  /** Puts `prefix` right before the content and returns where it starts. If it does not fit in the free room, the content
    * moves back, and more room is kept from then on.
    */
  def prepend(prefix: Array[Byte]): Int = {
    val length = prefix.length
    if (length > front) {
      val size = limit - front
      val room = math.min(length.toLong + length / 4, limits.chunk - size.toLong)
      requireRoom(size.toLong + length)
      move(room + size, room)
    }
    System.arraycopy(prefix, 0, data, front - length, length)
    front - length
  }

  /** Makes room at once for content that will have `size` bytes and for a prefix of `prefix`, both as far as one can tell. */
  def reserve(size: Long, prefix: Long): Unit = {
    val room = math.max(front, prefix)
    val length = math.max(data.length, math.min(room + size, limits.chunk.toLong))
    if (length > data.length || room > front) move(length, room)
  }

  def clear(): Unit = limit = front

  /** Throws if a column cannot have so many bytes, or values, in one row group. */
  def requireRoom(amount: Long): Unit =
    if (amount > limits.chunk) throw DlcacheErrors.rowGroupTooLarge(column, amount)

  private def grow(needed: Long): Unit = {
    requireRoom(needed)
    val doubled = math.min(data.length * 2L, if (needed <= soft) soft.toLong else limits.chunk.toLong)
    move(math.max(needed, doubled), front.toLong)
  }

  /** Puts the content into an array of at least `length` bytes if there is not that much, behind `room` bytes. */
  private def move(length: Long, room: Long): Unit = {
    val target = if (length > data.length) new Array[Byte](length.toInt) else data
    System.arraycopy(data, front, target, room.toInt, size)
    data = target
    limit = room.toInt + size
    front = room.toInt
  }
}

private[shard] object GrowableBytes {
  private val Initial = 1024
}
