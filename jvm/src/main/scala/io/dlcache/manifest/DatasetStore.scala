package io.dlcache.manifest

import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.charset.{CharacterCodingException, StandardCharsets}
import java.util.UUID

import scala.annotation.tailrec
import scala.util.matching.Regex

import io.dlcache.error.DlcacheErrors
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path

/** The published versions of the dataset at `path`: the one owner of what lies under `_dlcache/`.
  *
  * A version is a file that is created once, whole, and never changed, so there is nothing to lock and nothing to cache.
  */
final private[dlcache] class DatasetStore(
    val path: Path,
    conf: Configuration,
    maxManifestBytes: Long = DatasetStore.MaxManifestBytes
) {

  import DatasetStore._

  private val directory = new Path(path, DirectoryName)

  /** True if there is at least one version: only then is the directory a dataset. */
  def exists(): Boolean = versions().nonEmpty

  /** Those of the dataset's own directory and `data/` that are not there, the inner one first. */
  def missingDirectories(): Seq[Path] = {
    val fs = DatasetFiles.fileSystem(path, conf)
    Seq(new Path(path, DataDirectoryName), path).filterNot(fs.exists)
  }

  /** Whether there is a version, a lease, or anything else that dlcache keeps beside the shards. */
  def isInUse: Boolean = DatasetFiles.fileSystem(directory, conf).exists(directory)

  /** Ascending; empty if there is no dataset. One listing. */
  def versions(): Seq[Long] = versionsIn(names())

  /** The versions, ascending, and the texts of the records of deletions. One listing. */
  def versionsAndRecords(): (Seq[Long], Seq[Array[Byte]]) = {
    val there = names()
    (versionsIn(there), there.filter(RecordName.matches).flatMap(name => content(new Path(directory, name))))
  }

  /** The highest version, if there is a dataset. One that is deleted between the listing and the reading is looked for
    * again.
    */
  @tailrec
  def current(): Option[Manifest] = versions().lastOption match {
    case None => None
    case Some(version) =>
      val found = find(version)
      if (found.isDefined) found else current()
  }

  /** The version, if it is there. */
  def find(version: Long): Option[Manifest] = content(manifestPath(version)).map(parse(_, version))

  /** @throws io.dlcache.error.DlcacheException if there is no such version, or its manifest is not valid */
  def read(version: Long): Manifest = find(version).getOrElse {
    val available = versions()
    throw if (available.isEmpty) DlcacheErrors.notADataset(path.toString)
    else DlcacheErrors.versionNotFound(path.toString, version, available)
  }

  /** Makes `manifest` visible as its version, or finds that another writer took that version first. What could not be
    * read again is not published.
    *
    * @return true if this call published it
    * @throws io.dlcache.error.DlcacheException DLCACHE_STORE_UNSUPPORTED if the store cannot create a file exclusively,
    *   DLCACHE_MANIFEST_TOO_LARGE, DLCACHE_MANIFEST_INVALID
    */
  def publish(manifest: Manifest): Boolean = {
    val file = manifestPath(manifest.version)
    val text = ManifestJson.write(manifest)
    val bytes = text.getBytes(StandardCharsets.UTF_8)
    if (bytes.length > maxManifestBytes)
      throw DlcacheErrors.manifestTooLarge(path.toString, manifest.shards.size, bytes.length.toLong, maxManifestBytes)
    ManifestJson.parse(text, file.toString): Unit
    Publication.of(file, conf).publish(bytes)
  }

  /** Which of these shards are not there. One listing. */
  def missing(shards: Seq[String]): Seq[String] = {
    val there = DatasetFiles.lengths(new Path(path, DataDirectoryName), conf)
    shards.filterNot(shard => there.contains(shard.stripPrefix(s"$DataDirectoryName/")))
  }

  /** Makes sure that these shards are on the disk before a manifest names them. */
  def sync(shards: Seq[String]): Unit = DatasetFiles.sync(shards.map(new Path(path, _)), conf)

  /** The first shard that is missing or has another length than the manifest says, and what is wrong with it. One
    * listing.
    */
  def lost(manifest: Manifest): Option[(ShardEntry, String)] =
    if (manifest.shards.isEmpty) None
    else {
      val lengths = DatasetFiles.lengths(new Path(path, DataDirectoryName), conf)
      manifest.shards.iterator.flatMap { shard =>
        lengths.get(shard.path.stripPrefix(s"$DataDirectoryName/")) match {
          case None => Some(shard -> "is missing")
          case Some(length) if length != shard.bytes => Some(shard -> s"has $length bytes instead of ${shard.bytes}")
          case _ => None
        }
      }.nextOption()
    }

  /** Where the record of a deletion is. */
  def recordPath(id: UUID): Path = new Path(directory, s"deleted-$id.json")

  /** Fails before any data is written if `publish` could not work here.
    *
    * @throws io.dlcache.error.DlcacheException DLCACHE_STORE_UNSUPPORTED
    */
  def requirePublishable(): Unit = Publication.of(directory, conf): Unit

  def dataPath(shard: ShardEntry): Path = new Path(path, shard.path)

  def manifestPath(version: Long): Path = new Path(directory, f"$version%020d.json")

  private def names(): Seq[String] =
    try DatasetFiles.fileSystem(directory, conf).listStatus(directory).toSeq.map(_.getPath.getName)
    catch { case _: FileNotFoundException => Nil }

  private def versionsIn(names: Seq[String]): Seq[Long] =
    names.collect { case ManifestName(digits) => digits }.flatMap(_.toLongOption).filter(_ > 0).sorted

  private def parse(bytes: Array[Byte], version: Long): Manifest = {
    val file = manifestPath(version)
    val manifest = ManifestJson.parse(decode(bytes, file), file.toString)
    if (manifest.version != version)
      throw DlcacheErrors.manifestInvalid(file.toString, s"it says that it is version ${manifest.version}")
    manifest
  }

  private def content(file: Path): Option[Array[Byte]] =
    try Some(readFully(file))
    catch { case _: FileNotFoundException => None }

  private def readFully(file: Path): Array[Byte] = {
    val fs = DatasetFiles.fileSystem(file, conf)
    val length = fs.getFileStatus(file).getLen
    if (length > maxManifestBytes)
      throw DlcacheErrors.manifestInvalid(file.toString, s"it has $length bytes, more than $maxManifestBytes")
    val in = fs.open(file)
    try {
      val bytes = new Array[Byte](length.toInt)
      in.readFully(0, bytes)
      bytes
    } finally in.close()
  }

  private def decode(bytes: Array[Byte], file: Path): String =
    try StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString
    catch {
      case e: CharacterCodingException =>
        throw DlcacheErrors.manifestInvalid(file.toString, "it is not UTF-8", Some(e))
    }
}

private[dlcache] object DatasetStore {
  val DirectoryName = "_dlcache"
  val DataDirectoryName = "data"

  private val ManifestName: Regex = """([0-9]{20})\.json""".r
  private val RecordName: Regex = """deleted-[0-9a-f-]{36}\.json""".r

  /** Far above any real one, and below what one string can hold. */
  private val MaxManifestBytes: Long = 1L << 30
}
