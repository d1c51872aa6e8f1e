package io.dlcache.lifecycle

import java.io.IOException
import java.util.concurrent.ConcurrentHashMap

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import io.dlcache.manifest.{DatasetFiles, DatasetStore}
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
  private val datasets = new ConcurrentHashMap[String, ConcurrentHashMap[Path, Configuration]]

  /** Runs after Spark's own shutdown hook has stopped the context, and before Hadoop closes its file systems. */
  private val HookPriority = FileSystem.SHUTDOWN_HOOK_PRIORITY + 20

  private lazy val hook: Unit =
    ShutdownHookManager.get().addShutdownHook(() => datasets.keySet.asScala.toSeq.foreach(end), HookPriority)

  /** @param dataset written under a session key of the application of `context` */
  def record(context: SparkContext, dataset: Path, conf: Configuration): Unit = {
    hook
    val application = context.applicationId
    val own = datasets.computeIfAbsent(
      application,
      _ => {
        context.addSparkListener(new EndListener(application))
        new ConcurrentHashMap[Path, Configuration]
      }
    )
    own.put(dataset, conf): Unit
  }

  /** Deletes the datasets of `application`; another call finds none. */
  def end(application: String): Unit =
    Option(datasets.remove(application)).foreach(_.asScala.foreach { case (dataset, conf) =>
      try deleteIfOwned(dataset, application, conf): Unit
      catch {
        case e @ (_: IOException | _: DlcacheException) =>
          logWarning(s"Could not delete $dataset, which belongs to the ended Spark application $application", e)
      }
    })

  /** Deletes `dataset` if it is a dataset whose current version has a session key of `application`.
    *
    * @return whether it did
    */
  private[lifecycle] def deleteIfOwned(dataset: Path, application: String, conf: Configuration): Boolean = {
    val isOwned = new DatasetStore(dataset, conf).current().exists { manifest =>
      manifest.planKey.scope == "session" && manifest.planKey.applicationId.contains(application)
    }
    if (isOwned) DatasetFiles.fileSystem(dataset, conf).delete(dataset, true)
    isOwned
  }

  final private class EndListener(application: String) extends SparkListener {
    override def onApplicationEnd(event: SparkListenerApplicationEnd): Unit = end(application)
  }
}
