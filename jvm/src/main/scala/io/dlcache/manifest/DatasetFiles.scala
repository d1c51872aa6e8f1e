package io.dlcache.manifest

import java.io.IOException
import java.nio.file.{
  DirectoryNotEmptyException,
  FileAlreadyExistsException,
  Files,
  LinkOption,
  NoSuchFileException,
  Path => LocalPath,
  Paths,
  StandardCopyOption,
  StandardOpenOption
}
import java.util.UUID

import scala.annotation.tailrec

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumFileSystem, FileContext, FileSystem, Options, Path}

/** How the files of a dataset are opened. */
private[dlcache] object DatasetFiles {
  private val Attempts = 100

  /** The file system of `path`. Hadoop's local file system would leave a `.name.crc` beside each file that it writes;
    * a dataset has its own checksums, and nothing in its directory that is not its own, so that layer is taken off.
    */
  def fileSystem(path: Path, conf: Configuration): FileSystem = path.getFileSystem(conf) match {
    case checksummed: ChecksumFileSystem => checksummed.getRawFileSystem
    case other => other
  }

  /** The path for `java.nio`, if it lies on a local file system. */
  def local(path: Path, conf: Configuration): Option[LocalPath] = {
    val uri = path.getFileSystem(conf).makeQualified(path).toUri
    Option.when(uri.getScheme == "file")(Paths.get(uri.getPath))
  }

  /** Makes a small file of a dataset, or replaces it, whole at once. Its directory is made. */
  def replace(file: Path, bytes: Array[Byte], conf: Configuration): Unit = {
    val name = s".${UUID.randomUUID()}.tmp"
    val temporary = new Path(file.getParent, name)
    val fs = fileSystem(file, conf)
    local(file, conf) match {
      case Some(target) =>
        val beside = target.resolveSibling(name)
        try {
          createInDirectory(beside, bytes, Attempts)
          Files.move(beside, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING)
        } finally Files.deleteIfExists(beside): Unit
      case None if hasRename(fs.getUri.getScheme) =>
        write(fs, temporary, bytes)
        FileContext.getFileContext(fs.getUri, conf).rename(temporary, file, Options.Rename.OVERWRITE)
      // An object appears when its upload ends.
      case None => write(fs, file, bytes)
    }
  }

  /** Deletes a directory if it is there and empty, in one step: what another process puts into it meanwhile stays.
    * Hadoop's local file system would look first and delete everything then.
    */
  def removeIfEmpty(directory: Path, conf: Configuration): Unit = local(directory, conf) match {
    case Some(place) =>
      try if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) Files.delete(place)
      catch { case _: DirectoryNotEmptyException | _: NoSuchFileException => () }
    case None =>
      val fs = fileSystem(directory, conf)
      try if (fs.listStatus(directory).isEmpty) fs.delete(directory, false): Unit
      catch { case _: IOException => () } // it is gone, or not empty any more; an empty one is in nobody's way
  }

  /** Another process may remove the directory as soon as it is made, because it is empty. */
  @tailrec
  private def createInDirectory(file: LocalPath, bytes: Array[Byte], attempts: Int): Unit = {
    val error =
      try {
        Files.createDirectories(file.getParent)
        Files.write(file, bytes, StandardOpenOption.CREATE_NEW)
        None
      } catch { case e @ (_: NoSuchFileException | _: FileAlreadyExistsException) => Some(e) }
    error match {
      case None => ()
      case Some(e) if attempts <= 1 => throw e
      case Some(_) => createInDirectory(file, bytes, attempts - 1)
    }
  }

  private def hasRename(scheme: String) = Publication.HdfsSchemes(scheme) || Publication.AzureSchemes(scheme)

  private def write(fs: FileSystem, file: Path, bytes: Array[Byte]): Unit = {
    val out = fs.create(file, true)
    try out.write(bytes)
    finally out.close()
  }
}
