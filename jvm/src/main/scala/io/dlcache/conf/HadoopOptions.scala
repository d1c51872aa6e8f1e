package io.dlcache.conf

import org.apache.spark.sql.catalyst.util.CaseInsensitiveMap

/** Options that are settings of Hadoop's file systems for one read or write, such as `fs.s3a.endpoint`. They say how the
  * store is reached, not which rows are written, so they are not part of a key. Their names keep their case.
  */
private[dlcache] object HadoopOptions {
  private val Prefix = "fs."

  def isOne(option: String): Boolean = option.regionMatches(true, 0, Prefix, 0, Prefix.length)

  def of(options: Map[String, String]): Map[String, String] = options match {
    case spark: CaseInsensitiveMap[String] => of(spark.originalMap)
    case plain => plain.filter { case (name, _) => isOne(name) }
  }

  def without(options: Map[String, String]): Map[String, String] = options.filterNot { case (name, _) => isOne(name) }
}
