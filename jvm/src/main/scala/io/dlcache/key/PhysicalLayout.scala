package io.dlcache.key

import io.dlcache.spark.PhysicalPlans
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.catalyst.plans.logical.{Join, LogicalPlan, ResolvedHint}

/** What decides how rows are spread over partitions, for plans whose rows depend on that. */
sealed private[key] trait PhysicalLayout

private[key] object PhysicalLayout {

  /** The rows do not depend on it. */
  case object Irrelevant extends PhysicalLayout

  /** One source with nothing but projections, filters and samples on it: the source and the settings decide. */
  case object OfSource extends PhysicalLayout

  /** Statistics, hints and the cluster take part: only the physical plan of this session says. */
  case object OfPlan extends PhysicalLayout

  /** Settings that concern neither the planning nor the reading of a batch query, and are other values in other sessions. */
  private val Elsewhere =
    Seq("spark.sql.warehouse.dir", "spark.sql.catalogImplementation", "spark.sql.streaming.", "spark.sql.ui.")

  def of(layout: PhysicalLayout, session: SparkSession, data: DataFrame): Map[String, String] = layout match {
    case Irrelevant => Map.empty
    case OfSource =>
      parallelismOf(session) ++ SemanticConfs.changed(session).filterNot(setting =>
        Elsewhere.exists(setting._1.startsWith)
      )
    case OfPlan =>
      parallelismOf(session) ++ SemanticConfs.changed(session) ++ Map(
        "spark.executors" -> session.sparkContext.getExecutorMemoryStatus.size.toString,
        "plan.hints" -> hintsOf(data.queryExecution.analyzed).mkString(" "),
        "plan.physical" -> Digest(_.string(PhysicalPlans.textOf(data))).hex
      )
  }

  private def parallelismOf(session: SparkSession): Map[String, String] =
    Map("spark.default.parallelism" -> session.sparkContext.defaultParallelism.toString)

  private def hintsOf(plan: LogicalPlan): Seq[String] = plan.collectWithSubqueries {
    case hint: ResolvedHint => hint.hints.toString
    case join: Join => join.hint.toString
  }
}
