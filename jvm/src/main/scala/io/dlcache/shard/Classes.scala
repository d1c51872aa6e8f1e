package io.dlcache.shard

import java.nio.charset.StandardCharsets.UTF_8
import java.util.Arrays

import scala.collection.mutable

import org.apache.spark.unsafe.Platform
import org.apache.spark.unsafe.Platform.BYTE_ARRAY_OFFSET
import org.apache.spark.unsafe.types.UTF8String

/** How often each value occurs. Too many different values are no classes: that is None, and stays None in every merge. */
sealed private[dlcache] trait Classes extends Serializable {
  def merge(other: Classes): Option[Classes]
}

private[dlcache] object Classes {

  /** More different values are no classes. */
  val MaxCount = 1000

  /** Longer strings, in bytes, are no classes. */
  val MaxBytes = 64

  /** Booleans are 0 and 1. */
  final case class Integers(counts: Map[Long, Long]) extends Classes {
    override def merge(other: Classes): Option[Classes] = other match {
      case Integers(more) => added(counts, more).map(Integers)
      case _: Strings => None
    }
  }

  final case class Strings(counts: Map[String, Long]) extends Classes {
    override def merge(other: Classes): Option[Classes] = other match {
      case Strings(more) => added(counts, more).map(Strings)
      case _: Integers => None
    }

    /** In the order of their bytes, which is the order of their code points. */
    def sorted: Seq[(String, Long)] =
      counts.toSeq.sortWith((a, b) => Arrays.compareUnsigned(a._1.getBytes(UTF_8), b._1.getBytes(UTF_8)) < 0)
  }

  private def added[A](left: Map[A, Long], right: Map[A, Long]): Option[Map[A, Long]] = {
    val sum = right.foldLeft(left) { case (all, (value, count)) =>
      all.updated(value, all.getOrElse(value, 0L) + count)
    }
    if (sum.size > MaxCount) None else Some(sum)
  }
}

/** Counts integers, in a hash table of open addressing, until there are too many different ones. The table is small
  * while they are few: a table of a thousand columns has a thousand counters.
  */
final private[shard] class IntegerCounter {
  private var bits = 5
  private var keys = new Array[Long](1 << bits)
  private var counts = new Array[Long](1 << bits)
  private var size = 0

  /** Adds buffered values (booleans one byte each). */
  def add(data: Array[Byte], from: Int, count: Int, stored: Stored): Unit = {
    val base = BYTE_ARRAY_OFFSET.toLong + from
    var i = 0
    while (i < count && size <= Classes.MaxCount) {
      add(stored match {
        case Stored.Int32 => Platform.getInt(data, base + 4L * i).toLong
        case Stored.Int64 => Platform.getLong(data, base + 8L * i)
        case _ => Platform.getByte(data, base + i).toLong
      })
      i += 1
    }
  }

  def result: Option[Classes] =
    if (size > Classes.MaxCount) None
    else Some(Classes.Integers(keys.indices.filter(counts(_) > 0).map(i => keys(i) -> counts(i)).toMap))

  private def add(value: Long): Unit = {
    val slot = slotOf(value)
    if (counts(slot) == 0) {
      keys(slot) = value
      size += 1
    }
    counts(slot) += 1
    if (size > Classes.MaxCount) clear()
    else if (size * 2 > keys.length) grow()
  }

  private def slotOf(value: Long): Int = {
    var slot = (value * 0x9e3779b97f4a7c15L >>> (64 - bits)).toInt
    while (counts(slot) > 0 && keys(slot) != value) slot = (slot + 1) & (keys.length - 1)
    slot
  }

  private def grow(): Unit = {
    val (oldKeys, oldCounts) = (keys, counts)
    bits += 1
    keys = new Array[Long](1 << bits)
    counts = new Array[Long](1 << bits)
    oldKeys.indices.foreach { i =>
      if (oldCounts(i) > 0) {
        val slot = slotOf(oldKeys(i))
        keys(slot) = oldKeys(i)
        counts(slot) = oldCounts(i)
      }
    }
  }

  private def clear(): Unit = {
    keys = Array.emptyLongArray
    counts = Array.emptyLongArray
  }
}

/** Counts strings until one is too long or is not valid UTF-8, or there are too many different ones. JSON has no bytes: two
  * strings that are not valid would be one there.
  */
final private[shard] class StringCounter {
  private val counts = mutable.HashMap.empty[UTF8String, Array[Long]]
  private var isCounting = true

  def add(data: Array[Byte], from: Int, length: Int): Unit =
    if (isCounting) {
      if (length > Classes.MaxBytes) isCounting = false
      else {
        val view = UTF8String.fromAddress(data, BYTE_ARRAY_OFFSET.toLong + from, length)
        counts.get(view) match {
          case Some(count) => count(0) += 1
          case None if view.isValid =>
            counts.put(UTF8String.fromBytes(Arrays.copyOfRange(data, from, from + length)), Array(1L)): Unit
          case None => isCounting = false
        }
        if (counts.size > Classes.MaxCount) isCounting = false
      }
      if (!isCounting) counts.clear()
    }

  def result: Option[Classes] =
    if (isCounting) Some(Classes.Strings(counts.map { case (text, count) => text.toString -> count(0) }.toMap))
    else None
}
