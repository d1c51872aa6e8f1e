package io.dlcache.manifest

import java.util.UUID
import java.util.concurrent.ThreadLocalRandom

import scala.util.matching.Regex

/** Names of shards, which no other writer gives: docs/format.md §1. Relative to the dataset. */
private[dlcache] object ShardName {
  private val Uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
  private val Named: Regex = s"${DatasetStore.DataDirectoryName}/dlcache-($Uuid)-[0-9A-Za-z_-]+\\.parquet".r

  /** Never given twice, also not to two attempts of a task.
    *
    * @param job of the write
    * @param number of the shard in its task
    */
  def of(job: UUID, partition: Int, number: Int): String = {
    val attempt = ThreadLocalRandom.current().nextLong()
    f"${DatasetStore.DataDirectoryName}/dlcache-$job-$partition%05d-$number-$attempt%016x.parquet"
  }

  /** The job of the write that gave this name; none if it is another's name, or that of an older dlcache. */
  def job(path: String): Option[String] = path match {
    case Named(job) => Some(job)
    case _ => None
  }
}
