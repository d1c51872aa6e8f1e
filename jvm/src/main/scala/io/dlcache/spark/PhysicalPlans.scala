package io.dlcache.spark

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.internal.SQLConf

/** How Spark would run a DataFrame now. */
private[dlcache] object PhysicalPlans {
  private val ExpressionIds = "#\\d+L?|plan_id=\\d+".r

  /** The physical plan, without the numbers that are new in each analysis. It depends on statistics and on all
    * configurations, and is made without running a job. `alias` gives a new `QueryExecution`: that of `data` may have been
    * planned when other configurations were set.
    */
  def textOf(data: DataFrame): String = {
    val plan = data.alias("data").queryExecution.executedPlan
    ExpressionIds.replaceAllIn(SQLConf.withExistingConf(untruncated())(plan.treeString), "")
  }

  private def untruncated(): SQLConf = {
    val conf = SQLConf.get.clone()
    Seq("spark.sql.debug.maxToStringFields", "spark.sql.maxMetadataStringLength")
      .foreach(conf.setConfString(_, Int.MaxValue.toString))
    conf
  }
}
