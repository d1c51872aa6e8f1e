package io.dlcache.lifecycle

import java.io.FileNotFoundException
import java.time.{Duration, Instant}
import java.util.UUID

import io.dlcache.manifest.{DatasetFiles, DatasetStore, Manifest, ShardName}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileStatus, Path}

/** Deletes one dataset: docs/format.md §7. Files that dlcache did not write stay, and so does what a live reader needs. */
final private[lifecycle] class DatasetDeletion(dataset: Path, conf: Configuration) {

  private val fs = DatasetFiles.fileSystem(dataset, conf)
  private val root = fs.makeQualified(dataset)
  private val store = new DatasetStore(dataset, conf)
  private val leases = new LeaseFiles(dataset, conf)

  /** @param isOwned whether the dataset may be deleted, by its current version
    * @return whether the dataset is gone, or may not be deleted; false if someone uses it
    */
  def run(isOwned: Manifest => Boolean): Boolean = {
    val leftovers = DatasetNames.Directories.filterNot(
      _ == DatasetStore.DataDirectoryName
    ).flatMap(list).filter(isLeftover).map(_.getPath)
    if (isInUse) false
    else {
      val manifests = store.versions().flatMap(store.find)
      manifests.isEmpty || !isOwned(manifests.last) || delete(manifests, leftovers)
    }
  }

  /** A record of what goes, the manifests, the shards; and before the last two a look whether someone has come. */
  private def delete(manifests: Seq[Manifest], leftovers: Seq[Path]): Boolean = {
    val versions = manifests.map(_.version)
    val named = manifests.flatMap(_.shards.map(_.path)).distinct
    val shards = (named ++ leftOf(named.flatMap(ShardName.job(_)))).distinct
    val record = store.recordPath(UUID.randomUUID())
    def put(expiresAt: Instant): Unit =
      DatasetFiles.replace(record, DeletionRecord.own(versions, shards, expiresAt).write, conf)
    put(Instant.now().plus(DatasetDeletion.Span))
    if (isInUse || !store.find(versions.last).contains(manifests.last) || hasMoreThan(versions)) {
      fs.delete(record, false)
      false
    } else {
      versions.foreach(version => fs.delete(store.manifestPath(version), false))
      if (isInUse || hasMoreThan(versions)) {
        put(Instant.EPOCH)
        false
      } else {
        shards.foreach(shard => fs.delete(new Path(root, shard), false))
        (leftovers :+ record).foreach(fs.delete(_, false))
        DatasetNames.Directories.map(new Path(root, _)).appended(root).foreach(DatasetFiles.removeIfEmpty(_, conf))
        true
      }
    }
  }

  /** Leases that change while they are read count as in use. */
  private def isInUse = leases.live().forall(_.exists(_.kind != Lease.Application))

  private def hasMoreThan(versions: Seq[Long]) = store.versions().exists(!versions.contains(_))

  /** The shards that failed tasks and writers have left: those of these jobs, and of leases. */
  private def leftOf(jobs: Seq[String]): Seq[String] = {
    val known = (jobs ++ leases.all().toSeq.flatten.flatMap(_.job)).toSet
    list(DatasetStore.DataDirectoryName).filter(_.isFile).map(relative).filter(ShardName.job(_).exists(known))
  }

  private def list(directory: String): Seq[FileStatus] =
    try fs.listStatus(new Path(root, directory)).toSeq
    catch { case _: FileNotFoundException => Nil }

  private def isLeftover(file: FileStatus) =
    file.isFile && !file.isSymlink && DatasetNames.isLeftover(relative(file))

  private def relative(file: FileStatus) = root.toUri.relativize(file.getPath.toUri).getPath.stripSuffix("/")
}

private[lifecycle] object DatasetDeletion {

  /** How long a deletion may take before others go on with it. */
  private val Span = Duration.ofHours(1)
}
