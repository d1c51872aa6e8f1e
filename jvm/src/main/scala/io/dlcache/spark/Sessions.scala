package io.dlcache.spark

import org.apache.hadoop.conf.Configuration
import org.apache.spark.sql.SparkSession

/** What the connector asks of a session. */
private[dlcache] object Sessions {

  /** Hadoop's configuration as Spark's own sources see it: the application's, with the session's on top. */
  def hadoopConf(session: SparkSession): Configuration = {
    val conf = new Configuration(session.sparkContext.hadoopConfiguration)
    session.conf.getAll.foreach { case (name, value) => if (value != null) conf.set(name, value) }
    conf
  }

  /** Whether names that differ by case only are different names. */
  def isCaseSensitive(session: SparkSession): Boolean = session.conf.get("spark.sql.caseSensitive").toBoolean
}
