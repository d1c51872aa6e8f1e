package io.dlcache.read

import io.dlcache.manifest.ShardEntry
import io.dlcache.read.raw.RawGroup

/** A part of a shard: the row groups whose middle lies in it, which is how Parquet readers divide a file.
  *
  * @param path relative to the dataset
  * @param shardBytes length of the whole file
  * @param firstGroup the first of its row groups
  * @param groups how many row groups it has
  * @param raw these row groups, if all columns that are read are raw
  */
final private[dlcache] case class ShardSplit(
    path: String,
    start: Long,
    length: Long,
    shardBytes: Long,
    firstGroup: Int,
    groups: Int,
    raw: IndexedSeq[RawGroup] = IndexedSeq.empty
)

/** Which parts of which shards one task reads: pure.
  *
  * Partitions follow the order of the rows: their rows, one partition after another, are the dataset's rows in order.
  */
private[read] object ReadPlan {

  /** @param maxPartitionBytes a partition is not made larger than this, unless one row group is
    * @param openCost what opening a file counts for, in bytes
    * @param parallelism partitions to have at least, if there are row groups enough
    */
  def partitions(
      shards: Seq[ShardEntry],
      maxPartitionBytes: Long,
      openCost: Long,
      parallelism: Int
  ): IndexedSeq[IndexedSeq[ShardSplit]] = {
    val total = shards.map(shard => BigInt(shard.bytes) + openCost).sum
    val target = math.min(maxPartitionBytes, math.max(openCost, (total / math.max(1, parallelism)).toLong))
    pack(shards.flatMap(splits(_, target)), target, openCost)
  }

  /** As many whole row groups in each split as come near `target` bytes. */
  private def splits(shard: ShardEntry, target: Long): Seq[ShardSplit] = {
    val groups = shard.rowGroups
    val perSplit = math.max(1L, target / math.max(1L, shard.bytes / groups))
    val count = math.ceil(groups.toDouble / perSplit).toInt
    // All row groups but the last have the same rows, and a cut may be off by half a row group before it matters.
    val rowBytes = shard.bytes.toDouble / shard.rows
    val cuts = (0 until count).map(i => (i * perSplit * shard.rowGroupRows * rowBytes).toLong) :+ shard.bytes
    val firsts = (0 until count).map(i => (i * perSplit).toInt) :+ groups
    cuts.zip(cuts.tail).zip(firsts.zip(firsts.tail)).map { case ((from, until), (first, last)) =>
      ShardSplit(shard.path, from, until - from, shard.bytes, first, last - first)
    }
  }

  private def pack(splits: Seq[ShardSplit], target: Long, openCost: Long): IndexedSeq[IndexedSeq[ShardSplit]] = {
    val partitions = IndexedSeq.newBuilder[IndexedSeq[ShardSplit]]
    val current = IndexedSeq.newBuilder[ShardSplit]
    var bytes = 0L
    splits.foreach { split =>
      if (bytes > 0 && bytes + split.length > target) {
        partitions += current.result()
        current.clear()
        bytes = 0
      }
      current += split
      bytes += split.length + openCost
    }
    if (bytes > 0) partitions += current.result()
    partitions.result()
  }
}
