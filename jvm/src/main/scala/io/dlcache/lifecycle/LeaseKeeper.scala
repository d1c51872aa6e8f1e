package io.dlcache.lifecycle

import java.io.IOException
import java.time.{Duration, Instant}
import java.util.UUID
import java.util.concurrent.{ConcurrentHashMap, Executors, ScheduledExecutorService, TimeUnit}

import scala.jdk.CollectionConverters._

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.internal.Logging

/** The leases that this process holds as a writer or for a Spark application.
  *
  * A lease is a courtesy to `gc` on other machines: one that cannot be written stops nothing.
  *
  * @param span how long a lease holds without a renewal
  */
final private[dlcache] class LeaseKeeper(span: Duration) extends Logging {

  private val held = ConcurrentHashMap.newKeySet[HeldLease]

  /** A lease on `dataset` until it is closed.
    *
    * @param kind `writer` or `application`
    */
  def take(dataset: Path, conf: Configuration, kind: String, applicationId: Option[String]): HeldLease = {
    val lease = new HeldLease(new LeaseFiles(dataset, conf), dataset, kind, applicationId)
    lease.attempt("write")(lease.write(span))
    held.add(lease)
    lease
  }

  /** Renews all leases. One whose file is gone is given up: the dataset was deleted. */
  def renew(): Unit = held.asScala.toSeq.foreach(lease => lease.attempt("renew")(lease.renew()))

  /** One lease of this process. */
  final class HeldLease private[LeaseKeeper] (
      files: LeaseFiles,
      dataset: Path,
      kind: String,
      applicationId: Option[String]
  ) {
    private val id = UUID.randomUUID()

    /** Gives the lease up. What a failed writer leaves keeps it, expired. */
    def close(): Unit = if (held.remove(this)) attempt("delete") {
      synchronized(if (kind == Lease.Writer && files.isAllThereIs) write(Duration.ZERO) else files.remove(id))
    }

    /** Leaves the lease behind as expired: it tells `gc` that the application has ended. */
    def expire(): Unit = if (held.remove(this)) attempt("expire")(synchronized(write(Duration.ZERO)))

    private[LeaseKeeper] def renew(): Unit = synchronized {
      if (held.contains(this)) { if (files.exists(id)) write(span) else held.remove(this): Unit }
    }

    private[LeaseKeeper] def write(span: Duration): Unit = {
      val pid = Processes.ownPid
      val expiresAt = Instant.now().plus(span)
      val lease =
        Lease(kind, Processes.host, pid, Processes.startOf(pid), expiresAt, applicationId = applicationId)
      files.put(id, lease)
    }

    private[LeaseKeeper] def attempt(verb: String)(act: => Unit): Unit =
      try act
      catch { case e: IOException => logWarning(s"Could not $verb a lease on $dataset", e) }
  }
}

private[dlcache] object LeaseKeeper {
  private val Span = Duration.ofMinutes(10)

  /** The keeper of this process. Its daemon thread renews until the process ends. */
  lazy val driver: LeaseKeeper = {
    val keeper = new LeaseKeeper(Span)
    val period = Span.toMillis / 3
    renewals.scheduleWithFixedDelay(() => keeper.renew(), period, period, TimeUnit.MILLISECONDS)
    keeper
  }

  private def renewals: ScheduledExecutorService = Executors.newSingleThreadScheduledExecutor { work =>
    val thread = new Thread(work, "dlcache-leases")
    thread.setDaemon(true)
    thread
  }
}
