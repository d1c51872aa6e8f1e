package io.dlcache.shard

import java.util.Arrays

import io.dlcache.error.DlcacheErrors

/** A byte array that grows at its end and keeps free room at its front, where a page's levels go when it is flushed: a
  * page is then one range of one array and is written without another copy of its values.
  *
  * @param column for the error if the data outgrow an array
  * @param expected bytes that are likely never exceeded by much: growth stops there first instead of doubling past it
  */
final private[shard] class GrowableBytes(column: => String, expected: Long) {
  private val soft = math.min(expected + expected / 16 + GrowableBytes.Initial, GrowableBytes.Limit).toInt
  private var front = 64
  private var limit = front

  var data: Array[Byte] = new Array[Byte](GrowableBytes.Initial)

  /** Where the content starts and ends in `data`. */
  def from: Int = front
  def until: Int = limit
  def size: Int = limit - front

  /** Makes room for `bytes` more and returns where they go. */
  def append(bytes: Int): Int = {
    val at = limit
    if (bytes > data.length - at) grow(at.toLong + bytes)
    limit = at + bytes
    at
  }

  /** Like `append`, for `count` values of `width` bytes. */
  def append(count: Int, width: Int): Int = {
    val bytes = count.toLong * width
    if (bytes > GrowableBytes.Limit) throw DlcacheErrors.rowGroupTooLarge(column, limit + bytes)
    append(bytes.toInt)
  }

  /** Puts `prefix` right before the content and returns where it starts. If it does not fit in the free room, the content
    * moves back, and more room is kept from then on.
    */
  def prepend(prefix: Array[Byte]): Int = {
    val length = prefix.length
    if (length > front) {
      val size = limit - front
      val room = math.min(length.toLong + length / 4, GrowableBytes.Limit - size.toLong)
      if (room < length) throw DlcacheErrors.rowGroupTooLarge(column, size.toLong + length)
      move(room + size, room)
    }
    System.arraycopy(prefix, 0, data, front - length, length)
    front - length
  }

  /** Makes room at once for content that will have `size` bytes and for a prefix of `prefix`, both as far as one can tell. */
  def reserve(size: Long, prefix: Long): Unit = {
    val room = math.max(front, prefix)
    val length = math.max(data.length, math.min(room + size, GrowableBytes.Limit))
    if (length > data.length || room > front) move(length, room)
  }

  def clear(): Unit = limit = front

  /** Gives its memory back. Nothing can be appended any more. */
  def release(): Unit = {
    SpareArrays.give(data)
    data = Array.emptyByteArray
  }

  private def grow(needed: Long): Unit = {
    if (needed > GrowableBytes.Limit) throw DlcacheErrors.rowGroupTooLarge(column, needed)
    val doubled = math.min(data.length * 2L, if (needed <= soft) soft.toLong else GrowableBytes.Limit.toLong)
    move(math.max(needed, doubled), front.toLong)
  }

  /** Puts the content into an array of at least `length` bytes if there is not that much, behind `room` bytes. */
  private def move(length: Long, room: Long): Unit = {
    val target = if (length > data.length) SpareArrays.take(length.toInt) else data
    System.arraycopy(data, front, target, room.toInt, size)
    if (target ne data) SpareArrays.give(data)
    data = target
    limit = room.toInt + size
    front = room.toInt
  }
}

private[shard] object GrowableBytes {
  private val Initial = 1024
  private val Limit = Int.MaxValue - 16
}

/** A list of ints as runs: one run, however long the list is, if all are equal. */
final private[shard] class Runs {
  private var values = new Array[Int](16)
  private var ends = new Array[Int](16)
  private var count = 0
  private var total = 0

  def size: Int = total

  def append(value: Int): Unit = {
    total += 1
    if (count > 0 && values(count - 1) == value) ends(count - 1) = total
    else {
      if (count == values.length) {
        values = Arrays.copyOf(values, count * 2)
        ends = Arrays.copyOf(ends, count * 2)
      }
      values(count) = value
      ends(count) = total
      count += 1
    }
  }

  def clear(): Unit = {
    count = 0
    total = 0
  }

  /** Calls `run(value, times)` for each run. */
  def foreach(run: (Int, Int) => Unit): Unit = {
    var i = 0
    var start = 0
    while (i < count) {
      run(values(i), ends(i) - start)
      start = ends(i)
      i += 1
    }
  }

  def cursor: RunCursor = new RunCursor(values, ends)
}

/** Reads a list of runs one value at a time. */
final private[shard] class RunCursor(values: Array[Int], ends: Array[Int]) {
  private var position = 0
  private var run = 0

  def next(): Int = {
    if (position == ends(run)) run += 1
    position += 1
    values(run)
  }
}
