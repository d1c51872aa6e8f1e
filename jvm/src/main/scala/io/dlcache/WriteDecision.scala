package io.dlcache

import io.dlcache.manifest.PlanKeyEntry
import org.apache.spark.sql.SaveMode

/** What a write does: mode × key. */
sealed private[dlcache] trait WriteDecision

private[dlcache] object WriteDecision {

  /** Write the rows as the first version. */
  case object Build extends WriteDecision

  /** The rows are there: do nothing. */
  case object Hit extends WriteDecision

  /** Other rows are there, and may stay: do nothing. */
  case object Leave extends WriteDecision

  /** Other rows are there: fail. */
  case object Refuse extends WriteDecision

  /** Write the rows as the next version, without what is there. */
  case object Replace extends WriteDecision

  /** Write the rows as the next version, behind what is there. */
  case object Append extends WriteDecision

  /** The table of modes.
    *
    * @param there the key of the dataset at the target, if there is one
    * @param key of the DataFrame
    * @param expired whether the time to live of what is there has ended: `gc` may take it at any moment, so it is no hit
    */
  def of(mode: SaveMode, there: Option[PlanKeyEntry], key: PlanKeyEntry, expired: Boolean): WriteDecision =
    (mode, there) match {
      case (_, None) => Build
      case (SaveMode.Overwrite, _) => Replace
      case (SaveMode.Append, _) => Append
      case (_, Some(same)) if same == key => if (expired) Replace else Hit
      case (SaveMode.Ignore, _) => Leave
      case (SaveMode.ErrorIfExists, _) => Refuse
    }
}
