package io.dlcache.write

import io.dlcache.error.DlcacheErrors
import io.dlcache.spark.PlainBatchWrite
import org.apache.spark.internal.Logging
import org.apache.spark.sql.connector.write.{DataWriterFactory, PhysicalWriteInfo, WriterCommitMessage}
import org.apache.spark.util.SerializableConfiguration

/** The driver's side of the inner write. `commit` only collects what the tasks wrote: to publish it is the caller's act.
  *
  * The commit coordinator stays on (Spark's default): one attempt of each task commits, the others delete their files.
  */
final private[write] class ShardBatchWrite(job: ShardJob) extends PlainBatchWrite with Logging {

  override def createBatchWriterFactory(info: PhysicalWriteInfo): DataWriterFactory = {
    job.submitting()
    new ShardWriterFactory(
      job.id,
      job.dataset.toString,
      new SerializableConfiguration(job.conf),
      job.layout,
      job.options,
      job.targetBytes
    )
  }

  override def commit(messages: Array[WriterCommitMessage]): Unit = job.commit(shards(messages))

  /** Nothing was published, so no other process needs the job's files. Tasks that still run are killed, and the caller
    * looks again once they have ended.
    */
  override def abort(messages: Array[WriterCommitMessage]): Unit =
    ShardFiles.discardJob(job.dataset, job.conf, job.id): Unit

  /** In the order of the partitions. Whatever a task answers that is not understood here stands for rows that would be
    * missing, so it is an error, upon which Spark calls `abort`.
    */
  private def shards(messages: Array[WriterCommitMessage]): Seq[WrittenShard] = {
    val understood = messages.toSeq.zipWithIndex.map {
      case (message: ShardCommitMessage, _) => message
      case (null, partition) =>
        throw DlcacheErrors.rowsMissing(job.dataset.toString, partition, "the task did not answer")
      case (other, partition) => throw foreign(partition, other)
    }
    understood.foreach { message =>
      val written = message.shards.map(_.summary.rows).sum
      if (written != message.rows)
        throw DlcacheErrors.rowsMissing(
          job.dataset.toString,
          message.partition,
          s"it has ${message.rows} rows, and $written are in its shards"
        )
    }
    warnOfRounding(understood)
    understood.sortBy(_.partition).flatMap(_.shards)
  }

  private def warnOfRounding(messages: Seq[ShardCommitMessage]): Unit = {
    val counts = messages.flatMap(_.rounded).groupMapReduce(_._1)(_._2)(_ + _)
    if (counts.nonEmpty) {
      val columns = counts.toSeq.sorted.map { case (column, count) => s"`$column` ($count)" }.mkString(", ")
      logWarning(
        s"float32 does not hold these whole numbers of ${job.dataset}, which were rounded: $columns. Where they are " +
          "identifiers, cast the column to an integer type, or set dtype to 'source' or 'float64'"
      )
    }
  }

  private def foreign(partition: Int, message: WriterCommitMessage) = {
    def described(kind: Class[_]) = s"${kind.getName} of ${kind.getClassLoader}"
    DlcacheErrors.classesDiffer(
      job.dataset.toString,
      partition,
      described(message.getClass),
      described(classOf[ShardCommitMessage])
    )
  }

  override def toString: String = s"ShardBatchWrite($job)"
}

/** What a task has written, in its order.
  *
  * @param rows that Spark handed to it
  * @param rounded how many whole numbers of a column the option `dtype` has rounded
  */
final private[write] case class ShardCommitMessage(
    partition: Int,
    rows: Long,
    shards: Seq[WrittenShard],
    rounded: Map[String, Long]
) extends WriterCommitMessage
