package io.dlcache.read

import io.dlcache.manifest.ShardEntry
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class ReadPlanSuite extends AnyFunSuite with ScalaCheckPropertyChecks {

  private val MiB = 1L << 20

  private def shard(name: Int, rows: Long, bytes: Long, groupRows: Int): ShardEntry =
    ShardEntry(s"data/$name.parquet", 1, rows, bytes, 0, groupRows, Nil)

  private val shards: Gen[Seq[ShardEntry]] = Gen
    .listOf(for {
      rows <- Gen.choose(1L, 100000L)
      groupRows <- Gen.choose(1, 200000)
      bytes <- Gen.choose(rows + 12, 500 * MiB)
    } yield (rows, bytes, groupRows))
    .map(_.zipWithIndex.map { case ((rows, bytes, groupRows), i) => shard(i, rows, bytes, groupRows) })

  private val settings = Gen.zip(Gen.choose(1L, 256 * MiB), Gen.choose(0L, 8 * MiB), Gen.choose(1, 64))

  /** The middle of each row group, were the rows of one size. */
  private def middles(shard: ShardEntry): Seq[Long] =
    (0 until shard.rowGroups).map { group =>
      val first = group.toLong * shard.rowGroupRows
      val last = math.min(shard.rows, first + shard.rowGroupRows)
      ((first + last) / 2.0 * shard.bytes / shard.rows).toLong
    }

  test("every byte of every shard is in exactly one split, in the order of the rows") {
    forAll(shards, settings) { case (all, (maxBytes, openCost, parallelism)) =>
      val partitions = ReadPlan.partitions(all, maxBytes, openCost, parallelism)
      assert(partitions.forall(_.nonEmpty))
      val byShard = partitions.flatten.groupBy(_.path)
      assert(partitions.flatten.map(_.path).distinct == all.map(_.path))
      all.foreach { shard =>
        val splits = byShard(shard.path)
        assert(splits.map(_.start) == splits.scanLeft(0L)(_ + _.length).init)
        assert(splits.map(_.firstGroup) == splits.scanLeft(0)(_ + _.groups).init)
        assert(splits.map(_.groups).sum == shard.rowGroups && splits.forall(_.groups > 0))
        assert(splits.map(_.length).sum == shard.bytes && splits.forall(_.shardBytes == shard.bytes))
      }
    }
  }

  test("no split is without a row group, and none has more than fit, unless it is one") {
    forAll(shards, settings) { case (all, (maxBytes, openCost, parallelism)) =>
      val splits = ReadPlan.partitions(all, maxBytes, openCost, parallelism).flatten.groupBy(_.path)
      all.foreach { shard =>
        val groups = middles(shard)
        splits(shard.path).foreach { split =>
          val inside = groups.count(middle => middle >= split.start && middle < split.start + split.length)
          assert(inside >= 1)
          assert(inside == 1 || inside * (shard.bytes / shard.rowGroups) <= maxBytes)
        }
      }
    }
  }

  test("small shards share a partition, large ones are divided, and all cores get work") {
    def sizes(all: Seq[ShardEntry], parallelism: Int) =
      ReadPlan.partitions(all, 128 * MiB, 4 * MiB, parallelism).map(_.size)
    val small = (0 until 100).map(shard(_, 10, MiB, 10))
    assert(sizes(small, 1).size == 4)
    assert(sizes(small, 50).size >= 49)
    assert(sizes(Seq(shard(0, 64, 1024 * MiB, 2)), 1) == Seq.fill(8)(1))
    assert(sizes(Seq(shard(0, 64, 128 * MiB, 8)), 8).size == 8)
    assert(sizes(Seq(shard(0, 64, 1024 * MiB, 64)), 8) == Seq(1))
    assert(sizes(Nil, 8).isEmpty)
  }
}
