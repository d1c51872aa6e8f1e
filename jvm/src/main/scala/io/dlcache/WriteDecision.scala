package io.dlcache

import io.dlcache.conf.IfAppended
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

  /** The rows of an append are there already: fail. */
  case object RefuseAgain extends WriteDecision

  /** The table of modes.
    *
    * @param there the key of the dataset at the target, if there is one
    * @param key of the DataFrame
    * @param isStale whether what is there is no hit although it has the key: its time to live has ended, or it has lost a
    *   shard
    * @param isAppended whether the dataset has the rows of `key`, beside others or not
    * @param ifAppended what an append does then
    */
  def of(
      mode: SaveMode,
      there: Option[PlanKeyEntry],
      key: PlanKeyEntry,
      isStale: => Boolean,
      isAppended: => Boolean = false,
      ifAppended: IfAppended = IfAppended.Error
  ): WriteDecision =
    (mode, there) match {
      case (_, None) => Build
      case (SaveMode.Overwrite, _) => Replace
      case (SaveMode.Append, _) =>
        ifAppended match {
          case IfAppended.Error if isAppended => RefuseAgain
          case IfAppended.Skip if isAppended => Hit
          case _ => Append
        }
      case (_, Some(same)) if same == key => if (isStale) Replace else Hit
      case (SaveMode.Ignore, _) => Leave
      case (SaveMode.ErrorIfExists, _) => Refuse
    }
}
