package io.dlcache.write

import java.util.UUID
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicReference

import io.dlcache.shard.{ShardLayout, ShardOptions, ShardSummary}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.types.StructType

/** A shard that a task has written and closed.
  *
  * @param path relative to the dataset
  */
final private[dlcache] case class WrittenShard(path: String, summary: ShardSummary)

/** One write of shards below `dataset`. It lives on the driver, from before Spark starts the write until it is over.
  *
  * @param schema of the DataFrame
  * @param targetBytes at which a task goes on in a new shard; none to go on in one
  * @param id in the names of the job's shards
  */
final private[dlcache] class ShardJob(
    val dataset: Path,
    val conf: Configuration,
    val schema: StructType,
    val layout: ShardLayout,
    val options: ShardOptions,
    val targetBytes: Option[Long],
    val id: UUID
) {

  private val committed = new AtomicReference[Option[Seq[WrittenShard]]](None)

  private[write] def commit(shards: Seq[WrittenShard]): Unit = committed.set(Some(shards))

  private val tasks = new AtomicReference[Option[RunningTasks]](None)

  /** Spark is about to submit the job whose tasks write. */
  private[write] def submitting(): Unit = tasks.get.foreach(_.submitting())

  /** Writes the rows of `data`, in its partitions and in its order, with a Spark job.
    *
    * If it fails, no task of it runs any more when this throws.
    *
    * @return the shards, in the order of the rows. They are files that no manifest names yet
    */
  def run(data: DataFrame): Seq[WrittenShard] =
    ShardJob.registered(this) { id =>
      val ofRun = new RunningTasks(data.sparkSession.sparkContext)
      tasks.set(Some(ofRun))
      ofRun.during(describing(data) {
        data.write
          .format(classOf[ShardSink].getName)
          .option(ShardSink.JobOption, id)
          .mode("append")
          .save()
      })
      committed.get.getOrElse(throw new IllegalStateException(s"Spark ended the write of $this without a commit"))
    }

  /** Says in Spark's UI what its jobs are for, unless the user does. */
  private def describing(data: DataFrame)(write: => Unit): Unit = {
    val context = data.sparkSession.sparkContext
    if (Option(context.getLocalProperty(ShardJob.Description)).isDefined) write
    else {
      context.setLocalProperty(ShardJob.Description, s"dlcache: write $dataset")
      try write
      finally context.setLocalProperty(ShardJob.Description, null)
    }
  }

  override def toString: String = {
    val target = targetBytes.fold("shards as the partitions")(bytes => s"targetShardBytes=$bytes")
    s"path=$dataset, $target, rowGroupBytes=${options.rowGroupBytes}, compression=${options.compression}"
  }
}

/** The jobs that run now. Spark makes its own instance of [[ShardSink]] and hands it text only: the job's id. */
private[write] object ShardJob {
  private val Description = "spark.job.description"
  private val running = new ConcurrentHashMap[String, ShardJob]

  private def registered[T](job: ShardJob)(body: String => T): T = {
    val id = UUID.randomUUID().toString
    running.put(id, job)
    try body(id)
    finally running.remove(id): Unit
  }

  def apply(id: String): ShardJob =
    Option(id)
      .flatMap(known => Option(running.get(known)))
      .getOrElse(throw new IllegalStateException(s"No write with the id $id runs on this driver"))
}
