package io.dlcache.lifecycle

import java.io.FileNotFoundException
import java.nio.charset.StandardCharsets.UTF_8
import java.time.Instant
import java.util.UUID

import scala.util.matching.Regex

import io.dlcache.manifest.{DatasetFiles, DatasetStore}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path

/** The leases of one dataset, as files. */
final private[lifecycle] class LeaseFiles(dataset: Path, conf: Configuration) {

  private val directory = new Path(dataset, LeaseFiles.DirectoryName)

  private def fs = DatasetFiles.fileSystem(directory, conf)

  def path(id: UUID): Path = new Path(directory, s"$id.json")

  /** Writes the lease, or replaces it, whole at once. */
  def put(id: UUID, lease: Lease): Unit =
    DatasetFiles.replace(path(id), Lease.write(lease).getBytes(UTF_8), conf)

  def exists(id: UUID): Boolean = fs.exists(path(id))

  def delete(id: UUID): Unit = fs.delete(path(id), false): Unit

  /** Deletes the lease, and the directories of leases and manifests if nothing is in them now. */
  def remove(id: UUID): Unit = {
    delete(id)
    DatasetFiles.removeIfEmpty(directory, conf)
    DatasetFiles.removeIfEmpty(directory.getParent, conf)
  }

  /** All leases, or none if one that was listed is gone, again and again: it may have been renewed under another name. */
  def all(): Option[Seq[Lease]] = Iterator.continually(readAll()).take(LeaseFiles.Listings).collectFirst {
    case texts if !texts.contains(None) => texts.flatten.flatMap(Lease.parse)
  }

  /** Whose leases are live now; none as in [[all]]. */
  def live(): Option[Seq[Lease]] = {
    val now = Instant.now()
    all().map(_.filter(_.isLive(now, Processes.host, Processes.isRunning)))
  }

  private def readAll(): Seq[Option[String]] =
    list(directory).filter(file => LeaseFiles.Name.matches(file.getName)).map(read)

  private def list(place: Path): Seq[Path] =
    try fs.listStatus(place).toSeq.map(_.getPath)
    catch { case _: FileNotFoundException => Nil }

  private def read(file: Path): Option[String] =
    try {
      val in = fs.open(file)
      try Some(new String(in.readNBytes(LeaseFiles.MaxBytes), UTF_8))
      finally in.close()
    } catch { case _: FileNotFoundException => None }
}

private[lifecycle] object LeaseFiles {
  val DirectoryName = s"${DatasetStore.DirectoryName}/leases"
  private val Name: Regex = s"(?:${DatasetNames.Uuid})\\.json".r

  private val Listings = 3

  /** Far more than any lease has. */
  private val MaxBytes = 1 << 16
}
