package io.dlcache.key

import java.lang.ref.{Reference, ReferenceQueue, WeakReference}
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong

/** Numbers for objects that have no durable identity, such as the function of a UDF: the same number for the same object
  * as long as it lives, never the number of another. Objects are held weakly.
  */
private[key] object ObjectIdentity {
  private val numbers = new ConcurrentHashMap[Reference[AnyRef], java.lang.Long]
  private val collected = new ReferenceQueue[AnyRef]
  private val next = new AtomicLong

  def of(target: AnyRef): Long = {
    removeCollected()
    numbers.computeIfAbsent(new ByIdentity(target), _ => next.getAndIncrement())
  }

  private def removeCollected(): Unit =
    Iterator.continually(collected.poll()).takeWhile(_ != null).foreach(reference => numbers.remove(reference))

  final private class ByIdentity(target: AnyRef) extends WeakReference[AnyRef](target, collected) {
    override val hashCode: Int = System.identityHashCode(target)
    override def equals(other: Any): Boolean = other match {
      case that: ByIdentity => (this eq that) || { val mine = get; mine != null && (mine eq that.get) }
      case _ => false
    }
  }
}
