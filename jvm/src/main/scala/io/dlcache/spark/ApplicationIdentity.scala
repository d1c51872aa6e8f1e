package io.dlcache.spark

import java.util.{UUID, WeakHashMap}

import org.apache.spark.SparkContext

/** An id for each `SparkContext` that no other context has. Spark's application id has no such promise: a local one is the
  * time in milliseconds, and that of a standalone master begins anew with each second and each master.
  */
private[dlcache] object ApplicationIdentity {
  private val ids = new WeakHashMap[SparkContext, String]

  /** Spark's own application id, a slash and a random UUID. */
  def of(context: SparkContext): String = ids.synchronized {
    ids.computeIfAbsent(context, context => s"${context.applicationId}/${UUID.randomUUID()}")
  }
}
