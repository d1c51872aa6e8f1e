package io.dlcache.spark

import scala.util.Try

import org.apache.spark.sql.internal.SQLConf

/** Spark's registry of SQL configurations. */
private[dlcache] object SqlConfs {

  /** Marks the default of a configuration that follows another one until it is set. */
  private val Follows = "<value of "

  /** The entries are Spark's own, so that their methods are looked up by name. */
  private lazy val registry = SQLConf.getClass.getMethod("getConfigEntry", classOf[String])

  /** The default of a configuration that Spark knows, as text; none for one that follows another until it is set. */
  def defaultOf(name: String): Option[String] = Try {
    val entry = registry.invoke(SQLConf, name)
    entry.getClass.getMethod("defaultValueString").invoke(entry).toString
  }.toOption.filterNot(_.startsWith(Follows))
}
