package io.dlcache.lifecycle

import scala.util.matching.Regex

/** The names of docs/format.md: a file that has none of them was not written by dlcache, and is never deleted. */
private[lifecycle] object DatasetNames {
  val Uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

  val Directories: Seq[String] = Seq("data", "_dlcache/leases", "_dlcache")

  private val Manifest: Regex = """_dlcache/[0-9]{20}\.json""".r
  private val Files: Seq[Regex] = Seq(
    Manifest,
    s"_dlcache/deleted-$Uuid\\.json".r,
    s"_dlcache/leases/$Uuid\\.json".r,
    s"_dlcache/(?:leases/)?\\.$Uuid\\.tmp".r,
    """_dlcache/\.[0-9]{20}\.json\.claim""".r,
    s"data/(?:[0-9A-Za-z_-]*-)?$Uuid(?:-[0-9A-Za-z_-]*)?\\.parquet".r
  )

  /** @param path of a file, relative to its dataset */
  def isOwn(path: String): Boolean = Files.exists(_.matches(path))

  def isManifest(path: String): Boolean = Manifest.matches(path)
}
