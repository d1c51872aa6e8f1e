package io.dlcache.write

import io.dlcache.error.DlcacheErrors
import io.dlcache.shard.Rounding
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
    sayRounding(understood)
    understood.sortBy(_.partition).flatMap(_.shards)
  }

  private def sayRounding(messages: Seq[ShardCommitMessage]): Unit = {
    val counts = messages.flatMap(_.rounded).groupMapReduce(_._1)(_._2)(_ + _).toSeq.sortBy(_._1)
    def text(count: Rounding => Long) =
      counts.collect { case (column, each) if count(each) > 0 => s"`$column` (${count(each)})" }.mkString(", ")
    if (counts.nonEmpty)
      logInfo(s"float32 does not hold these values of ${job.dataset}, which were rounded: ${text(_.values)}")
    val columns = text(_.wholeNumbers)
    if (columns.nonEmpty) {
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
  * @param rounded what the option `dtype` has rounded in a column
  */
final private[write] case class ShardCommitMessage(
    partition: Int,
    rows: Long,
    shards: Seq[WrittenShard],
    rounded: Map[String, Rounding]
) extends WriterCommitMessage
