package io.dlcache.lifecycle

import java.io.FileNotFoundException

import io.dlcache.manifest.DatasetFiles
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileStatus, Path}

/** Deletes one dataset: docs/format.md §7. Files that dlcache did not write stay, and so does what a live reader needs. */
final private[lifecycle] class DatasetDeletion(dataset: Path, conf: Configuration) {

  private val fs = DatasetFiles.fileSystem(dataset, conf)
  private val root = fs.makeQualified(dataset)
  private val leases = new LeaseFiles(dataset, conf)

  /** @return whether the dataset is gone; false if someone reads it */
  def run(): Boolean =
    if (isRead) false
    else {
      val files = DatasetNames.Directories.prepended("").flatMap(list).filter(isOwnFile)
      val (manifests, rest) = files.partition(file => DatasetNames.isManifest(relative(file)))
      manifests.map(_.getPath).sorted.foreach(fs.delete(_, false))
      // Who took a lease before its manifest went is promised the shards.
      if (isRead) false
      else {
        // One by one, not the directory whole: a writer may come and put new files into it.
        rest.foreach(file => fs.delete(file.getPath, false))
        DatasetNames.Directories.map(new Path(root, _)).appended(root).foreach(DatasetFiles.removeIfEmpty(_, conf))
        true
      }
    }

  private def isRead = leases.live().exists(_.kind != Lease.Application)

  private def list(directory: String): Seq[FileStatus] =
    try fs.listStatus(if (directory.isEmpty) root else new Path(root, directory)).toSeq
    catch { case _: FileNotFoundException => Nil }

  private def relative(file: FileStatus): String = root.toUri.relativize(file.getPath.toUri).getPath.stripSuffix("/")

  private def isOwnFile(file: FileStatus) = file.isFile && !file.isSymlink && DatasetNames.isOwn(relative(file))
}
