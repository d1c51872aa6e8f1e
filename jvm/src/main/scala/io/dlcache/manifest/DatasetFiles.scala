package io.dlcache.manifest

import java.nio.file.{Files, Path => LocalPath, Paths, StandardCopyOption, StandardOpenOption}
import java.util.UUID

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumFileSystem, FileContext, FileSystem, Options, Path}

/** How the files of a dataset are opened. */
private[dlcache] object DatasetFiles {

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
        Files.createDirectories(target.getParent)
        val beside = target.resolveSibling(name)
        try {
          Files.write(beside, bytes, StandardOpenOption.CREATE_NEW)
          Files.move(beside, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING)
        } finally Files.deleteIfExists(beside): Unit
      case None if hasRename(fs.getUri.getScheme) =>
        write(fs, temporary, bytes)
        FileContext.getFileContext(fs.getUri, conf).rename(temporary, file, Options.Rename.OVERWRITE)
      // An object appears when its upload ends.
      case None => write(fs, file, bytes)
    }
  }

  private def hasRename(scheme: String) = Publication.HdfsSchemes(scheme) || Publication.AzureSchemes(scheme)

  private def write(fs: FileSystem, file: Path, bytes: Array[Byte]): Unit = {
    val out = fs.create(file, true)
    try out.write(bytes)
    finally out.close()
  }
}
