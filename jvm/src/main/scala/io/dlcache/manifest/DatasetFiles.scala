package io.dlcache.manifest

import java.io.{File, FileNotFoundException, IOException}
import java.nio.channels.FileChannel
import java.nio.file.{
  DirectoryNotEmptyException,
  FileAlreadyExistsException,
  FileVisitOption,
  FileVisitResult,
  Files,
  LinkOption,
  NoSuchFileException,
  Path => LocalPath,
  Paths,
  SimpleFileVisitor,
  StandardCopyOption,
  StandardOpenOption
}
import java.nio.file.attribute.BasicFileAttributes
import java.util.UUID
import java.util.concurrent.{ExecutionException, Executors}

import scala.annotation.tailrec

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumFileSystem, FileContext, FileSystem, Options, Path}

/** How the files of a dataset are opened. */
private[dlcache] object DatasetFiles {
  private val Attempts = 100
  private val SyncThreads = 32

  /** Windows writes out only what may be written. Elsewhere a file of another user, such as the executors', is readable. */
  private val FileMode = if (File.separatorChar == '\\') StandardOpenOption.WRITE else StandardOpenOption.READ

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
        try replaceLocally(beside, target, bytes, Attempts)
        finally Files.deleteIfExists(beside): Unit
      case None if hasRename(fs.getUri.getScheme) =>
        write(fs, temporary, bytes)
        FileContext.getFileContext(fs.getUri, conf).rename(temporary, file, Options.Rename.OVERWRITE)
      // An object appears when its upload ends.
      case None => write(fs, file, bytes)
    }
  }

  /** What is written to these files is on the disk when this returns. Elsewhere than locally it is when they are closed.
    * A request takes milliseconds, whatever a file has, and many at once take hardly longer.
    */
  def sync(files: Seq[Path], conf: Configuration): Unit = {
    val places = files.flatMap(local(_, conf))
    if (places.nonEmpty) {
      val threads = Executors.newFixedThreadPool(math.min(places.size, SyncThreads))
      try
        places.map(place => threads.submit[Unit](() => force(place, FileMode))).foreach { done =>
          try done.get()
          catch { case e: ExecutionException => throw e.getCause }
        }
      finally threads.shutdownNow(): Unit
      places.map(_.getParent).distinct.foreach(syncDirectory)
    }
  }

  /** The names in this directory are on the disk when this returns, where the system can do that. */
  def syncDirectory(directory: LocalPath): Unit =
    try force(directory, StandardOpenOption.READ)
    catch { case _: IOException => () }

  private def force(file: LocalPath, mode: StandardOpenOption): Unit = {
    val channel = FileChannel.open(file, mode)
    try channel.force(true)
    finally channel.close()
  }

  /** The length of each file in a directory, by its name; empty if it is not there. */
  def lengths(directory: Path, conf: Configuration): Map[String, Long] = local(directory, conf) match {
    case Some(place) =>
      val found = Map.newBuilder[String, Long]
      val visitor = new SimpleFileVisitor[LocalPath] {
        override def visitFile(file: LocalPath, attributes: BasicFileAttributes): FileVisitResult = {
          found += file.getFileName.toString -> attributes.size
          FileVisitResult.CONTINUE
        }
        override def visitFileFailed(file: LocalPath, error: IOException): FileVisitResult = error match {
          case _: NoSuchFileException => FileVisitResult.CONTINUE
          case other => throw other
        }
      }
      Files.walkFileTree(place, java.util.Set.of(FileVisitOption.FOLLOW_LINKS), 1, visitor)
      found.result()
    case None =>
      val found = Map.newBuilder[String, Long]
      try {
        val entries = fileSystem(directory, conf).listStatusIterator(directory)
        while (entries.hasNext) {
          val entry = entries.next()
          found += entry.getPath.getName -> entry.getLen
        }
      } catch { case _: FileNotFoundException => () }
      found.result()
  }

  /** Deletes a directory if it is there and empty, in one step: what another process puts into it meanwhile stays.
    * Hadoop's local file system would look first and delete everything then, and so would its connectors of object
    * stores, which have no directories.
    */
  def removeIfEmpty(directory: Path, conf: Configuration): Unit = local(directory, conf) match {
    case Some(place) =>
      try if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) Files.delete(place)
      catch { case _: DirectoryNotEmptyException | _: NoSuchFileException => () }
    case None =>
      val fs = fileSystem(directory, conf)
      try if (Publication.HdfsSchemes(fs.getUri.getScheme)) fs.delete(directory, false): Unit
      catch { case _: IOException => () } // it is not empty, or gone; the name node has looked
  }

  /** Another process may remove the directory as soon as it is made, because it is empty, and `gc` the temporary file. */
  @tailrec
  private def replaceLocally(temporary: LocalPath, file: LocalPath, bytes: Array[Byte], attempts: Int): Unit = {
    val error =
      try {
        Files.createDirectories(file.getParent)
        Files.write(temporary, bytes)
        Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING)
        None
      } catch { case e @ (_: NoSuchFileException | _: FileAlreadyExistsException) => Some(e) }
    error match {
      case None => ()
      case Some(e) if attempts <= 1 => throw e
      case Some(_) => replaceLocally(temporary, file, bytes, attempts - 1)
    }
  }

  private def hasRename(scheme: String) = Publication.HdfsSchemes(scheme) || Publication.AzureSchemes(scheme)

  private def write(fs: FileSystem, file: Path, bytes: Array[Byte]): Unit = {
    val out = fs.create(file, true)
    try out.write(bytes)
    finally out.close()
  }
}
