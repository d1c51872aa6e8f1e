package io.dlcache.lifecycle

import java.io.IOException
import java.util.concurrent.ConcurrentHashMap

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import io.dlcache.manifest.Manifest
import io.dlcache.spark.ApplicationIdentity
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.hadoop.util.ShutdownHookManager
import org.apache.spark.SparkContext
import org.apache.spark.internal.Logging
import org.apache.spark.scheduler.{SparkListener, SparkListenerApplicationEnd}

/** Datasets under the root that only their Spark application can hit: they are deleted when it ends, by the end of the
  * `SparkContext` or by that of the JVM, whichever comes first.
  */
private[dlcache] object SessionDatasets extends Logging {

  /** By application. An application is a key from its first dataset to its end. */
  private val datasets = new ConcurrentHashMap[String, ConcurrentHashMap[Path, Entry]]

  /** Runs after Spark's own shutdown hook has stopped the context, and before Hadoop closes its file systems. */
  private val HookPriority = FileSystem.SHUTDOWN_HOOK_PRIORITY + 20

  private lazy val hook: Unit =
    ShutdownHookManager.get().addShutdownHook(() => datasets.keySet.asScala.toSeq.foreach(end), HookPriority)

  /** @param dataset written under a session key of the application of `context` */
  def record(context: SparkContext, dataset: Path, conf: Configuration): Unit = {
    hook
    val application = ApplicationIdentity.of(context)
    val own = datasets.computeIfAbsent(
      application,
      _ => {
        context.addSparkListener(new EndListener(application))
        new ConcurrentHashMap[Path, Entry]
      }
    )
    own.computeIfAbsent(
      dataset,
      _ => Entry(conf, LeaseKeeper.driver.ofApplication(dataset, conf, application))
    ): Unit
  }

  /** Deletes the datasets of `application`; another call finds none. One that is still read stays until `gc` comes. */
  def end(application: String): Unit =
    Option(datasets.remove(application)).foreach(_.asScala.foreach { case (dataset, entry) =>
      try
        if (deleteIfOwned(dataset, application, entry.conf)) entry.lease.close()
        else {
          logInfo(s"$dataset is still in use, and stays until 'dlcache gc' finds it unused")
          entry.lease.expire()
        }
      catch {
        case e @ (_: IOException | _: DlcacheException) =>
          logWarning(s"Could not delete $dataset, which belongs to the ended Spark application $application", e)
          entry.lease.expire()
      }
    })

  /** Deletes `dataset` if it is a dataset whose current version has a session key of `application`, and nobody reads it.
    *
    * @return whether none of its files is there any more, or it belongs to someone else
    */
  private[lifecycle] def deleteIfOwned(dataset: Path, application: String, conf: Configuration): Boolean = {
    def isOwned(manifest: Manifest) =
      manifest.planKey.scope == "session" && manifest.planKey.applicationId.contains(application)
    new DatasetDeletion(dataset, conf).run(isOwned)
  }

  final private case class Entry(conf: Configuration, lease: LeaseKeeper#HeldLease)

  final private class EndListener(application: String) extends SparkListener {
    override def onApplicationEnd(event: SparkListenerApplicationEnd): Unit = end(application)
  }
}
