package io.dlcache.write

import java.io.{FileNotFoundException, IOException}
import java.util.UUID

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{DatasetFiles, DatasetStore}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.internal.Logging

/** Names of shards, and the deletion of those that were written for nothing. */
private[dlcache] object ShardFiles extends Logging {

  /** Relative to the dataset; never used twice, so a file can be deleted by its name without a look at who else is there.
    *
    * @param job a random number: the first half of the UUID. The second is the shard's own
    * @param number of the shard in its task
    */
  def name(job: Long, partition: Int, number: Int): String = {
    val id = new UUID(job, UUID.randomUUID().getLeastSignificantBits)
    f"${DatasetStore.DataDirectoryName}/part-$partition%05d-$number-$id.parquet"
  }

  /** Deletes all shards of a job of which nothing is published, also those of tasks that could not report them. */
  def discardJob(dataset: Path, conf: Configuration, job: Long): Unit = {
    val data = new Path(dataset, DatasetStore.DataDirectoryName)
    val prefix = new UUID(job, 0).toString.take(18)
    try {
      val names = DatasetFiles.fileSystem(data, conf).listStatus(data).toSeq.map(_.getPath.getName)
      discard(dataset, conf, names.filter(_.contains(s"-$prefix-")).map(s"${data.getName}/" + _))
    } catch {
      case _: FileNotFoundException => ()
      case e: IOException => logWarning(s"Could not look for shards in $data that no manifest names", e)
    }
  }

  /** A dataset starts in a directory that is new, empty, or has leftovers of a dataset only. */
  def requireFree(dataset: Path, conf: Configuration): Unit = {
    val fs = DatasetFiles.fileSystem(dataset, conf)
    val entries =
      try fs.listStatus(dataset).toSeq
      catch { case _: FileNotFoundException => Nil }
    if (entries.exists(entry => entry.isFile && entry.getPath == fs.makeQualified(dataset)))
      throw DlcacheErrors.pathOccupied(dataset.toString, "it is a file")
    entries.map(_.getPath.getName).filterNot(isOurs).sorted.headOption.foreach { name =>
      throw DlcacheErrors.pathOccupied(dataset.toString, s"there is no dataset, but it holds '$name'")
    }
  }

  /** Names with these first characters are hidden, in all of Hadoop. */
  private def isOurs(name: String) =
    name == DatasetStore.DataDirectoryName || name.startsWith("_") || name.startsWith(".")

  /** Deletes shards that no manifest names. One that cannot be deleted is left to `gc`: it is invisible. */
  def discard(dataset: Path, conf: Configuration, names: Seq[String]): Unit = names.foreach { name =>
    val file = new Path(dataset, name)
    try DatasetFiles.fileSystem(file, conf).delete(file, false): Unit
    catch { case e: IOException => logWarning(s"Could not delete $file, which no manifest names", e) }
  }
}
