package io.dlcache.manifest

import java.nio.file.{Path => LocalPath, Paths}

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{ChecksumFileSystem, FileSystem, Path}

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
}
