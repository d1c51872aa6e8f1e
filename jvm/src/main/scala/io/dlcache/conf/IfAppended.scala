package io.dlcache.conf

/** What an append does if the dataset already has rows of the same plan key. */
sealed abstract private[dlcache] class IfAppended(val name: String)

private[dlcache] object IfAppended {

  /** Refuse, so that a job that is run again does not add its rows twice. */
  case object Error extends IfAppended("error")

  /** Leave the dataset as it is. */
  case object Skip extends IfAppended("skip")

  /** Add the rows once more. */
  case object Append extends IfAppended("append")

  val all: Seq[IfAppended] = Seq(Error, Skip, Append)
}
