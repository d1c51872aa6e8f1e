package io.dlcache.write

import java.util.UUID
import java.util.concurrent.TimeUnit

import scala.collection.mutable

import org.apache.spark.SparkContext
import org.apache.spark.scheduler._

/** Which tasks of one write run, by Spark's events. A job has failed as soon as one of its tasks has: Spark kills the others,
  * but they may close a shard before they end.
  */
final private[write] class RunningTasks(context: SparkContext) extends SparkListener {
  private val write = UUID.randomUUID().toString
  private val jobs = mutable.Set.empty[Int]
  private val stages = mutable.Set.empty[Int]
  private val tasks = mutable.Set.empty[Long]
  private var writing: Option[Long] = None
  private var hasStarted = false

  /** Runs `body`. If it fails, all of its tasks have ended when this throws, or a minute has passed. */
  def during[T](body: => T): T = {
    context.addSparkListener(this)
    context.setLocalProperty(RunningTasks.Property, write)
    try body
    catch {
      case e: Throwable =>
        try awaitEnd()
        catch { case _: InterruptedException => Thread.currentThread().interrupt() }
        throw e
    } finally {
      context.setLocalProperty(RunningTasks.Property, null)
      context.removeSparkListener(this)
    }
  }

  /** Spark is about to submit the job whose tasks write. */
  def submitting(): Unit = synchronized { writing = Some(System.currentTimeMillis()) }

  override def onJobStart(event: SparkListenerJobStart): Unit = synchronized {
    if (Option(event.properties).exists(_.getProperty(RunningTasks.Property) == write)) {
      jobs += event.jobId
      stages ++= event.stageIds
      hasStarted ||= writing.exists(_ <= event.time)
    }
  }

  override def onJobEnd(event: SparkListenerJobEnd): Unit = ended(jobs.remove(event.jobId))

  override def onTaskStart(event: SparkListenerTaskStart): Unit = synchronized {
    if (stages(event.stageId)) tasks += event.taskInfo.taskId
  }

  override def onTaskEnd(event: SparkListenerTaskEnd): Unit = ended(tasks.remove(event.taskInfo.taskId))

  private def ended(remove: => Boolean): Unit = synchronized {
    if (remove) notifyAll()
  }

  /** Events arrive later than the error: the job must have been seen before its end means something. */
  private def awaitEnd(): Unit = synchronized {
    val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(RunningTasks.PatienceSeconds)
    def left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())
    def isOver = hasStarted && jobs.isEmpty && tasks.isEmpty
    while (writing.isDefined && !isOver && left > 0 && !context.isStopped) wait(math.min(left, RunningTasks.LookMillis))
  }
}

private[write] object RunningTasks {
  private val Property = "dlcache.write"
  private val PatienceSeconds = 60L

  /** A context that was stopped tells of no more events. */
  private val LookMillis = 500L
}
