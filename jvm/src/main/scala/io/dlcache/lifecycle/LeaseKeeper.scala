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
  * Nothing is written without a writer's lease: `gc` could take its files. One of an application that cannot be written
  * stops nothing.
  *
  * @param span how long a lease holds without a renewal
  */
final private[dlcache] class LeaseKeeper(span: Duration) extends Logging {

  private val held = ConcurrentHashMap.newKeySet[HeldLease]

  /** The lease of a Spark application on `dataset` until it is closed. */
  def ofApplication(dataset: Path, conf: Configuration, applicationId: String): HeldLease = {
    val lease = new HeldLease(dataset, conf, unbound(Lease.Application).copy(applicationId = Some(applicationId)))
    lease.attempt("write")(lease.write(span))
    held.add(lease)
    lease
  }

  /** The lease of a writer on `dataset` until it is closed.
    *
    * @param job the UUID in the names of its shards
    * @throws java.io.IOException if it cannot be written
    */
  def ofWriter(dataset: Path, conf: Configuration, job: UUID): HeldLease = {
    val lease = new HeldLease(dataset, conf, unbound(Lease.Writer).copy(job = Some(job.toString)))
    lease.write(span)
    held.add(lease)
    lease
  }

  private def unbound(kind: String) =
    Lease(kind, Processes.host, Processes.ownPid, Processes.startOf(Processes.ownPid), Instant.EPOCH)

  /** Renews all leases. An application's whose file is gone is given up: the dataset was deleted. */
  def renew(): Unit = held.asScala.toSeq.foreach(lease => lease.attempt("renew")(lease.renew()))

  /** One lease of this process. */
  final class HeldLease private[LeaseKeeper] (dataset: Path, conf: Configuration, unbound: Lease) {
    private val files = new LeaseFiles(dataset, conf)
    private var id = UUID.randomUUID()
    private var lease = unbound
    private var isWritten = false
    private var hasLapsed = false

    def baseVersion: Option[Long] = synchronized(lease.baseVersion)

    /** Says that the writer publishes a higher version than this.
      *
      * @throws java.io.IOException if it cannot be written
      */
    def base(version: Long): Unit = synchronized {
      lease = lease.copy(baseVersion = Some(version))
      write(span)
    }

    /** Makes sure that the lease holds, and for half its span, although its process may have been halted for long.
      *
      * @return whether it has held all the time
      * @throws java.io.IOException if it cannot be written
      */
    def confirm(): Boolean = synchronized {
      val held = !hasExpired && files.exists(id)
      if (!held || !Instant.now().plus(span.dividedBy(2)).isBefore(lease.expiresAt)) write(span)
      held && !hasLapsed
    }

    /** Gives the lease up. */
    def close(): Unit = if (held.remove(this)) attempt("delete")(synchronized(files.remove(id)))

    /** Leaves the lease behind as expired: it tells `gc` that the application has ended, or whose shards these are. */
    def expire(): Unit = if (held.remove(this)) attempt("expire")(synchronized(write(Duration.ZERO)))

    private[LeaseKeeper] def renew(): Unit = synchronized {
      if (held.contains(this)) {
        if (lease.kind == Lease.Writer || files.exists(id)) write(span) else held.remove(this): Unit
      }
    }

    /** One that has expired is written under another name: `gc` may be about to delete the file. */
    private[LeaseKeeper] def write(span: Duration): Unit = {
      val before = Option.when(isWritten && hasExpired)(id)
      before.foreach { _ =>
        id = UUID.randomUUID()
        hasLapsed = true
      }
      lease = lease.copy(expiresAt = Instant.now().plus(span))
      files.put(id, lease)
      isWritten = true
      before.foreach(files.delete)
    }

    private def hasExpired = !Instant.now().isBefore(lease.expiresAt)

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
