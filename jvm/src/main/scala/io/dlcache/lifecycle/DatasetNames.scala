package io.dlcache.lifecycle

import scala.util.matching.Regex

/** The names of docs/format.md under `_dlcache/`: a file that has none of them was not written by dlcache. */
private[lifecycle] object DatasetNames {
  val Uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

  val Directories: Seq[String] = Seq("data", "_dlcache/leases", "_dlcache")

  private val Leftovers: Seq[Regex] = Seq(
    s"_dlcache/leases/$Uuid\\.json".r,
    s"_dlcache/(?:leases/)?\\.$Uuid\\.tmp".r,
    """_dlcache/\.[0-9]{20}\.json\.claim""".r
  )

  /** Leases and temporary files, which are not needed when there is no live lease.
    *
    * @param path of a file, relative to its dataset
    */
  def isLeftover(path: String): Boolean = Leftovers.exists(_.matches(path))
}
