package io.dlcache

import org.apache.spark.sql.functions.expr
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** How well the option `shuffle` mixes what comes sorted: readers that go through shards in order see it so. */
class WriteShuffleSuite extends AnyFunSuite with WriteTest with ScalaCheckPropertyChecks {
  private val (rows, labels, window) = (20000, 10, 500)

  /** Pearson's statistic of the labels in each window of the dataset's rows, for each degree of freedom: about 1, on
    * average, if every order of the rows is as likely as any other; `window` if a window has one label only.
    */
  private def unevenness(found: Seq[Long]): Seq[Double] = {
    val expected = window.toDouble / labels
    found.grouped(window).toSeq.map { part =>
      val counts = part.groupMapReduce(identity)(_ => 1)(_ + _)
      (0L until labels.toLong).map { label =>
        val more = counts.getOrElse(label, 0) - expected
        more * more / expected
      }.sum / (labels - 1)
    }
  }

  private def labelsOf(path: String): Seq[Long] = read(path).select("label").collect().toSeq.map(_.getLong(0))

  private val sorted =
    spark.range(0, rows.toLong, 1, 4).select(expr("id"), expr(s"id div ${rows / labels}").as("label"))

  test("every window of rows that came sorted has all labels, as after a permutation of all rows") {
    val cases = Gen.zip(Gen.choose(0L, 1000000L), Gen.oneOf(None, Some(1), Some(3)))
    forAll(cases, minSuccessful(4)) { case (seed, shards) =>
      val path = newPath()
      val writer = sorted.write.format("dlcache").option("shuffle", seed)
      shards.foreach(n => writer.option("shards", n.toLong))
      writer.save(path)
      val found = labelsOf(path)
      assert(found.groupMapReduce(identity)(_ => 1)(_ + _).values.toSet == Set(rows / labels))
      val each = unevenness(found)
      val mean = each.sum / each.size
      // 40 windows: the mean of a permutation is 1 with a standard deviation of 0.07.
      assert(mean > 0.6 && mean < 1.4, s"seed $seed, shards $shards")
      assert(each.max < 5, s"seed $seed, shards $shards")
      info(f"shuffle=$seed, shards=${shards.fold("as they come")(_.toString)}: $mean%.2f, at most ${each.max}%.2f")
    }
    assert(unevenness((0 until rows).map(i => i.toLong * labels / rows)).forall(_ > 100))
  }
}
