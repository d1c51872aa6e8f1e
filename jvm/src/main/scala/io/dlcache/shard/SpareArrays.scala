package io.dlcache.shard

import java.lang.ref.WeakReference

import scala.collection.mutable.ArrayBuffer

/** Large arrays that one shard no longer needs, for the next one of this JVM: a new array is filled with zeros first, in memory
  * that the process may not even have yet, and collectors treat large ones as a special and costly case.
  *
  * The references are weak, so the garbage collector takes what nobody asks for.
  */
private[shard] object SpareArrays {
  private val LeastBytes = 1 << 18
  private val MaxArrays = 1024
  private val spares = ArrayBuffer.empty[WeakReference[Array[Byte]]]

  /** An array of at least `length` bytes, and not much more, with anything in it. */
  def take(length: Int): Array[Byte] =
    if (length < LeastBytes) new Array[Byte](length) else spare(length).getOrElse(new Array[Byte](length))

  /** The caller, and all that it has handed the array to, must not use it any more. */
  def give(array: Array[Byte]): Unit =
    if (array.length >= LeastBytes) synchronized {
      spares.filterInPlace(_.get != null)
      if (spares.size < MaxArrays) spares += new WeakReference(array)
    }

  private def spare(length: Int): Option[Array[Byte]] = synchronized {
    val most = length + length.toLong / 4
    val fitting = spares.flatMap(reference => Option(reference.get)).filter(a => a.length >= length && a.length <= most)
    fitting.minByOption(_.length).map { best =>
      spares.remove(spares.indexWhere(_.get eq best))
      best
    }
  }
}
