package io.dlcache.manifest

import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.charset.{CharacterCodingException, StandardCharsets}

import scala.util.matching.Regex

import io.dlcache.error.DlcacheErrors
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path

/** The published versions of the dataset at `path`: the one owner of what lies under `_dlcache/`.
  *
  * A version is a file that is created once, whole, and never changed, so there is nothing to lock and nothing to cache.
  */
final private[dlcache] class DatasetStore(val path: Path, conf: Configuration) {

  import DatasetStore._

  private val directory = new Path(path, DirectoryName)

  /** True if there is at least one version: only then is the directory a dataset. */
  def exists(): Boolean = versions().nonEmpty

  /** Ascending; empty if there is no dataset. One listing. */
  def versions(): Seq[Long] = {
    val names =
      try DatasetFiles.fileSystem(directory, conf).listStatus(directory).toSeq.map(_.getPath.getName)
      catch { case _: FileNotFoundException => Nil }
    names.collect { case ManifestName(digits) => digits }.flatMap(_.toLongOption).filter(_ > 0).sorted
  }

  /** The highest version, if there is a dataset. */
  def current(): Option[Manifest] = versions().lastOption.map(read)

  /** @throws io.dlcache.error.DlcacheException if there is no such version, or its manifest is not valid */
  def read(version: Long): Manifest = {
    val file = manifestPath(version)
    val bytes =
      try readFully(file)
      catch {
        case _: FileNotFoundException =>
          val available = versions()
          throw if (available.isEmpty) DlcacheErrors.notADataset(path.toString)
          else DlcacheErrors.versionNotFound(path.toString, version, available)
      }
    val manifest = ManifestJson.parse(decode(bytes, file), file.toString)
    if (manifest.version != version)
      throw DlcacheErrors.manifestInvalid(file.toString, s"it says that it is version ${manifest.version}")
    manifest
  }

  /** Makes `manifest` visible as its version, or finds that another writer took that version first.
    *
    * @return true if this call published it
    * @throws io.dlcache.error.DlcacheException DLCACHE_STORE_UNSUPPORTED if the store cannot create a file exclusively
    */
  def publish(manifest: Manifest): Boolean = {
    val file = manifestPath(manifest.version)
    Publication.of(file, conf).publish(ManifestJson.write(manifest).getBytes(StandardCharsets.UTF_8))
  }

  /** Fails before any data is written if `publish` could not work here.
    *
    * @throws io.dlcache.error.DlcacheException DLCACHE_STORE_UNSUPPORTED
    */
  def requirePublishable(): Unit = Publication.of(directory, conf): Unit

  def dataPath(shard: ShardEntry): Path = new Path(path, shard.path)

  def manifestPath(version: Long): Path = new Path(directory, f"$version%020d.json")

  private def readFully(file: Path): Array[Byte] = {
    val fs = DatasetFiles.fileSystem(file, conf)
    val length = fs.getFileStatus(file).getLen
    if (length > MaxManifestBytes)
      throw DlcacheErrors.manifestInvalid(file.toString, s"it has $length bytes, more than $MaxManifestBytes")
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

  /** Far above any real one, and below what one string can hold. */
  private val MaxManifestBytes: Long = 1L << 30
}
