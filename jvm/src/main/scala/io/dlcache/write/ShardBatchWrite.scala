package io.dlcache.write

import io.dlcache.spark.PlainBatchWrite
import org.apache.spark.sql.connector.write.{DataWriterFactory, PhysicalWriteInfo, WriterCommitMessage}
import org.apache.spark.util.SerializableConfiguration

/** The driver's side of the inner write. `commit` only collects what the tasks wrote: to publish it is the caller's act.
  *
  * The commit coordinator stays on (Spark's default): one attempt of each task commits, the others delete their files.
  */
final private[write] class ShardBatchWrite(job: ShardJob) extends PlainBatchWrite {

  override def createBatchWriterFactory(info: PhysicalWriteInfo): DataWriterFactory =
    new ShardWriterFactory(
      job.number,
      job.dataset.toString,
      new SerializableConfiguration(job.conf),
      job.layout,
      job.options,
      job.targetBytes
    )

  override def commit(messages: Array[WriterCommitMessage]): Unit = job.commit(shards(messages))

  /** Nothing was published, so the job's files are nobody's. Tasks that still run are killed and delete theirs. */
  override def abort(messages: Array[WriterCommitMessage]): Unit =
    ShardFiles.discardJob(job.dataset, job.conf, job.number)

  /** In the order of the partitions. A slot is null if its task did not commit. */
  private def shards(messages: Array[WriterCommitMessage]): Seq[WrittenShard] =
    messages.toSeq.collect { case message: ShardCommitMessage => message }.sortBy(_.partition).flatMap(_.shards)

  override def toString: String = s"ShardBatchWrite($job)"
}

/** What a task has written, in its order. */
final private[write] case class ShardCommitMessage(partition: Int, shards: Seq[WrittenShard])
    extends WriterCommitMessage
