package io.dlcache.shard.buffer

import java.util.Arrays

/** A list of ints as runs: one run, however long the list is, if all are equal. */
final private[shard] class Runs {
  private var values = new Array[Int](Runs.Initial)
  private var ends = new Array[Int](Runs.Initial)
  private var count = 0
  private var total = 0

  def size: Int = total

  /** Appends `value` `times` times, and returns by how many bytes the list grew. */
  def append(value: Int, times: Int = 1): Long = {
    total = Math.addExact(total, times)
    if (times == 0) 0
    else if (count > 0 && values(count - 1) == value) {
      ends(count - 1) = total
      0
    } else {
      if (count == values.length) {
        values = Arrays.copyOf(values, count * 2)
        ends = Arrays.copyOf(ends, count * 2)
      }
      values(count) = value
      ends(count) = total
      count += 1
      if (count > Runs.Initial) Runs.RunBytes else 0
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

private[shard] object Runs {

  /** Runs that have room from the start, which every column has. */
  private val Initial = 16
  private val RunBytes = 8L
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
