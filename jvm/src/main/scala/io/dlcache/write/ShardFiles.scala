package io.dlcache.write

import java.io.{FileNotFoundException, IOException}
import java.util.UUID

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{DatasetFiles, DatasetStore, ShardName}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.internal.Logging

/** The shards of a write that has published nothing, and those of others. */
private[dlcache] object ShardFiles extends Logging {

  /** Deletes all shards of a job of which nothing is published, also those of tasks that could not report them.
    *
    * @return whether none is there now
    */
  def discardJob(dataset: Path, conf: Configuration, job: UUID): Boolean =
    try {
      val own = list(dataset, conf).filter(ShardName.job(_).contains(job.toString))
      discard(dataset, conf, own)
      own.isEmpty || !list(dataset, conf).exists(ShardName.job(_).contains(job.toString))
    } catch {
      case e: IOException =>
        logWarning(s"Could not look for shards in $dataset that no manifest names", e)
        false
    }

  /** A dataset starts in a directory that is new, empty, or has leftovers of a dataset only. */
  def requireFree(dataset: Path, conf: Configuration): Unit = {
    val fs = DatasetFiles.fileSystem(dataset, conf)
    val entries =
      try fs.listStatus(dataset).toSeq
      catch { case _: FileNotFoundException => Nil }
    if (entries.exists(entry => entry.isFile && entry.getPath == fs.makeQualified(dataset)))
      throw DlcacheErrors.pathOccupied(dataset.toString, "it is a file")
    val others =
      entries.map(_.getPath.getName).filterNot(Set(DatasetStore.DirectoryName, DatasetStore.DataDirectoryName))
    (others.sorted ++ list(dataset, conf).filter(ShardName.job(_).isEmpty).sorted).headOption.foreach { name =>
      throw DlcacheErrors.pathOccupied(dataset.toString, s"there is no dataset, but it holds '$name'")
    }
  }

  /** What `data/` holds, relative to the dataset. */
  private def list(dataset: Path, conf: Configuration): Seq[String] = {
    val data = new Path(dataset, DatasetStore.DataDirectoryName)
    try DatasetFiles.fileSystem(data, conf).listStatus(data).toSeq.map(entry =>
        s"${data.getName}/${entry.getPath.getName}"
      )
    catch { case _: FileNotFoundException => Nil }
  }

  /** Deletes shards that no manifest names. One that cannot be deleted is left to `gc`: it is invisible. */
  def discard(dataset: Path, conf: Configuration, names: Seq[String]): Unit = names.foreach { name =>
    val file = new Path(dataset, name)
    try DatasetFiles.fileSystem(file, conf).delete(file, false): Unit
    catch { case e: IOException => logWarning(s"Could not delete $file, which no manifest names", e) }
  }
}
