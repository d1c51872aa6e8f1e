package io.dlcache.conf

import io.dlcache.error.DlcacheErrors

/** Where datasets without a path are kept. */
private[dlcache] object Root {

  /** `setting` (option or session configuration), else `DLCACHE_ROOT`, else, where driver and executors are one machine,
    * the user's cache directory.
    *
    * @param master of the Spark application
    * @param environment of the driver's process
    * @param home the user's home directory
    */
  def resolve(setting: Option[String], master: String, environment: Map[String, String], home: String): String = {
    def variable(name: String) = environment.get(name).filter(_.trim.nonEmpty)
    def ofUser = variable("XDG_CACHE_HOME").getOrElse(s"$home/.cache") + "/dlcache"
    setting
      .orElse(variable("DLCACHE_ROOT"))
      .orElse(Option.when(isLocal(master))(ofUser))
      .getOrElse(throw DlcacheErrors.noRoot(master))
  }

  /** `local-cluster` has several processes, but one file system. */
  private def isLocal(master: String) = master.startsWith("local")
}
