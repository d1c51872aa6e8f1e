package io.dlcache.spark

import org.apache.hadoop.conf.Configuration
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.catalyst.optimizer.ReplaceCurrentLike
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule

/** What the connector asks of a session. */
private[dlcache] object Sessions {

  /** Hadoop's configuration as Spark's own sources see it: the application's, with the session's on top, and on top of
    * that the `options` of one read or write.
    */
  def hadoopConf(session: SparkSession, options: Map[String, String] = Map.empty): Configuration = {
    val conf = new Configuration(session.sparkContext.hadoopConfiguration)
    (session.conf.getAll ++ options).foreach { case (name, value) => if (value != null) conf.set(name, value) }
    conf
  }

  /** The optimizer's rules that put the session's current user, catalog and database into a plan of `data`. */
  def currentValueRules(data: DataFrame): Seq[Rule[LogicalPlan]] =
    Seq(ReplaceCurrentLike(data.queryExecution.sparkSession.sessionState.catalogManager))

  /** Whether names that differ by case only are different names. */
  def isCaseSensitive(session: SparkSession): Boolean = session.conf.get("spark.sql.caseSensitive").toBoolean
}
