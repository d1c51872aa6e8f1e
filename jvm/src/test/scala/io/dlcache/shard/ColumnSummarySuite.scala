package io.dlcache.shard

import java.nio.{ByteBuffer, ByteOrder}

import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalactic.{Equality, TolerantNumerics}
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class ColumnSummarySuite extends AnyFunSuite with ScalaCheckPropertyChecks {
  private val doubles = Gen.oneOf(Gen.choose(-1e3, 1e3), Gen.const(1e9), Gen.const(0.0))
  private val floats = Gen.oneOf(doubles.map(_.toFloat), Gen.oneOf(Float.NaN, Float.PositiveInfinity, -0f))

  private val moments = Gen.listOf(doubles).map(_.map(Moments.one).foldLeft(Moments.empty)(_ merge _))

  /** Shapes with the numbers that a writer can have seen of them. */
  private val shapes: Gen[(Shape, Numbers)] = Gen.oneOf(
    Gen.const((Shape.Unseen, Moments.empty)),
    moments.map((Shape.Mixed, _)),
    moments.suchThat(_.count > 0).map((Shape.Uniform(Seq(2)), _)),
    Gen.choose(2, 3).flatMap { size =>
      Gen.nonEmptyListOf(Gen.listOfN(size, doubles)).map(rows => (Shape.Uniform(Seq(size)), elements(rows)))
    }
  )
  private val classes: Gen[Option[Classes]] =
    Gen.option(Gen.mapOf(Gen.zip(Gen.choose(0L, 9L), Gen.choose(1L, 5L))).map(Classes.Integers(_)))
  private val summaries: Gen[ColumnSummary] = for {
    rows <- Gen.choose(0L, 10L)
    nulls <- Gen.choose(0L, rows)
    (shape, numbers) <- shapes
    lengths <- Gen.option(Gen.zip(Gen.choose(0, 5), Gen.choose(5, 9)))
    classes <- classes
  } yield if (rows == 0) ColumnSummary.empty else ColumnSummary(rows, nulls, 0, shape, lengths, Some(numbers), classes)

  private def elements(rows: Seq[Seq[Double]]): ElementMoments =
    ElementMoments.of(rows.transpose.map(_.map(Moments.one).foldLeft(Moments.empty)(_ merge _)).toArray)

  private def close(a: Double, b: Double, scale: Double = 1): Boolean =
    a == b || a.isNaN && b.isNaN || math.abs(a - b) <= 1e-9 * math.max(scale, math.max(math.abs(a), math.abs(b)))

  private def same(a: Moments, b: Moments): Boolean =
    a.count == b.count && a.min == b.min && a.max == b.max && a.exact == b.exact && close(a.mean, b.mean, 1e9) &&
      close(a.m2, b.m2, 1e18)

  private implicit val numbersEquality: Equality[Option[Numbers]] = {
    case (None, None) => true
    case (Some(a: ElementMoments), Some(b: ElementMoments)) =>
      a.size == b.size && (0 until a.size).forall(i => same(a(i), b(i)))
    case (Some(a: Moments), Some(b: Moments)) => same(a, b)
    case _ => false
  }

  private def assertSame(a: ColumnSummary, b: ColumnSummary) = {
    assert(a.copy(numbers = None) == b.copy(numbers = None))
    assert(a.numbers === b.numbers)
  }

  test("merging does not depend on the grouping") {
    forAll(summaries, summaries, summaries, minSuccessful(500)) { (a, b, c) =>
      assertSame(a.merge(b).merge(c), a.merge(b.merge(c)))
    }
  }

  test("merging with the summary of no rows changes nothing") {
    forAll(summaries) { a =>
      assert(a.merge(ColumnSummary.empty) == a)
      assert(ColumnSummary.empty.merge(a) == a)
    }
  }

  test("the moments of parts merge to the moments of the whole") {
    forAll(Gen.listOf(doubles), Gen.listOf(doubles)) { (a, b) =>
      def of(xs: Seq[Double]) = xs.map(Moments.one).foldLeft(Moments.empty)(_ merge _)
      assert(same(of(a).merge(of(b)), of(a ++ b)))
    }
  }

  private def scan(values: Seq[Float], rows: Int, width: Int, soFar: Option[Numbers] = None): NumberScan = {
    val bytes = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
    values.foreach(bytes.putFloat)
    if (width == 0) NumberScan.all(bytes.array, 0, values.size, Stored.Float32, soFar)
    else NumberScan.elements(bytes.array, 0, rows, width, Stored.Float32, soFar)
  }

  private def assertMoments(moments: Moments, values: Seq[Float]) = {
    val numbers = values.filterNot(_.isNaN).map(_.toDouble)
    assert(moments.count == numbers.size)
    if (numbers.nonEmpty) {
      assert(moments.min == numbers.min && moments.max == numbers.max)
      val mean = numbers.sum / numbers.size
      assert(close(moments.mean, mean))
      val m2 = numbers.map(x => (x - mean) * (x - mean)).sum
      if (!m2.isNaN && !m2.isInfinite) assert(close(moments.m2, m2, numbers.map(x => x * x).sum))
      else assert(moments.m2.isNaN)
    }
  }

  test("a scan finds what the definitions say, with NaN and infinities") {
    forAll(Gen.listOf(floats), minSuccessful(200)) { values =>
      val found = scan(values, values.size, 0)
      assertMoments(found.numbers.overall, values)
      val hasNaN = values.exists(_.isNaN)
      assert((found.range == ValueRange.NotOrdered) == hasNaN)
      assert((found.range == ValueRange.Empty) == values.isEmpty)
    }
  }

  test("a scan by elements finds what the definitions say") {
    val rows = Gen.choose(1, 5).flatMap(width => Gen.nonEmptyListOf(Gen.listOfN(width, floats)).map(width -> _))
    forAll(rows, minSuccessful(200)) { case (width, rows) =>
      scan(rows.flatten, rows.size, width).numbers match {
        case elements: ElementMoments =>
          rows.transpose.zipWithIndex.foreach { case (values, i) => assertMoments(elements(i), values) }
        case other => fail(s"$other is not by element")
      }
    }
  }

  test("least and greatest of int64 elements are exact, merged too") {
    val longs = Gen.oneOf(Gen.long, Gen.choose(-9L, 9L), Gen.const(Long.MaxValue), Gen.const((1L << 53) + 1))
    val rows = Gen.choose(1, 4).flatMap(width => Gen.nonEmptyListOf(Gen.listOfN(width, longs)).map(width -> _))
    def scanned(rows: Seq[Seq[Long]], width: Int) = {
      val bytes = ByteBuffer.allocate(8 * rows.size * width).order(ByteOrder.LITTLE_ENDIAN)
      rows.flatten.foreach(bytes.putLong)
      NumberScan.elements(bytes.array, 0, rows.size, width, Stored.Int64, None)
    }
    forAll(rows, minSuccessful(100)) { case (width, rows) =>
      val expected = rows.transpose.map(element => (element.min, element.max))
      val whole = scanned(rows, width)
      assert(whole.range == ValueRange.Integers(rows.flatten.min, rows.flatten.max))
      val parts = rows.grouped(2).map(scanned(_, width).numbers).reduce(_ merge _)
      Seq(whole.numbers, parts).foreach {
        case elements: ElementMoments => assert(elements.exact.get.toSeq == expected)
        case other => fail(s"$other is not by element")
      }
      assert(parts.overall.exact.contains((rows.flatten.min, rows.flatten.max)))
    }
  }

  test("numbers whose sum is not finite, though each of them is, keep their mean") {
    val bytes = ByteBuffer.allocate(8 * 6).order(ByteOrder.LITTLE_ENDIAN)
    Seq(1e308, Double.NaN, 1e308, 1.0, 1e308, 3.0).foreach(bytes.putDouble)
    NumberScan.elements(bytes.array, 0, 3, 2, Stored.Float64, None).numbers match {
      case elements: ElementMoments =>
        assert(close(elements(0).mean, 1e308) && elements(0).count == 3)
        assert(elements(1).mean == 2 && elements(1).count == 2 && elements(1).variance == 1)
      case other => fail(s"$other is not by element")
    }
  }

  test("variance keeps its digits far from zero") {
    val values = Seq.tabulate(100000)(i => 16777216f + i % 2 * 2)
    assert(close(scan(values, values.size, 0).numbers.overall.variance, 1.0))
    val before = scan(Seq(-16777216f), 1, 1).numbers
    scan(values, values.size, 1, Some(before)).numbers.merge(before) match {
      case elements: ElementMoments =>
        implicit val tolerance: Equality[Double] = TolerantNumerics.tolerantDoubleEquality(1)
        val expected = {
          val all = values.map(_.toDouble) :+ -16777216.0
          val mean = all.sum / all.size
          all.map(x => (x - mean) * (x - mean)).sum / all.size
        }
        assert(elements(0).variance === expected)
      case other => fail(s"$other is not by element")
    }
  }

  test("too many classes are none, also after merging") {
    val many = Classes.Integers((0L to 999L).map(_ -> 1L).toMap)
    assert(many.merge(many).contains(Classes.Integers((0L to 999L).map(_ -> 2L).toMap)))
    assert(many.merge(Classes.Integers(Map(1000L -> 1L))).isEmpty)
  }

  test("integers are counted exactly as long as few of them are different") {
    val values = Gen.choose(1, 1500).flatMap(n => Gen.listOfN(2000, Gen.choose(-n.toLong / 2, n.toLong / 2)))
    forAll(values, minSuccessful(40)) { values =>
      val counter = new IntegerCounter
      values.grouped(300).foreach { part =>
        val bytes = ByteBuffer.allocate(8 * part.size).order(ByteOrder.LITTLE_ENDIAN)
        part.foreach(bytes.putLong)
        counter.add(bytes.array, 0, part.size, Stored.Int64)
      }
      val expected = values.groupMapReduce(identity)(_ => 1L)(_ + _)
      assert(counter.result == Option.when(expected.size <= Classes.MaxCount)(Classes.Integers(expected)))
    }
  }

  private val tensor = ShardLayout.of(new StructType().add("x", ArrayType(FloatType)), None).columns.head
  private def lists(shape: Shape, nulls: Long = 0) =
    ColumnSummary(4, nulls, 0, shape, Some((2, 2)), Some(elements(Seq(Seq(1, 2), Seq(3, 5)))), None)

  test("a column is a tensor if every row has its shape") {
    val facts = ColumnFacts.of(tensor, lists(Shape.Uniform(Seq(2))))
    assert(facts.storage == "tensor" && facts.shape.contains(Seq(2)) && facts.dtype.contains("float32"))
    assert(facts.statistics.get.toString ==
      """{"count":4,"min":[1.0,2.0],"max":[3.0,5.0],"mean":[2.0,3.5],"variance":[1.0,2.25]}""")
    val withNulls = ColumnFacts.of(tensor, lists(Shape.Uniform(Seq(2)), nulls = 1))
    assert(withNulls.storage == "ragged" && withNulls.shape.isEmpty && withNulls.lengths.contains((2, 2)))
    assert(withNulls.statistics.get.get("mean").asDouble == 2.75)
    assert(ColumnFacts.of(tensor, lists(Shape.Mixed)).storage == "ragged")
    assert(ColumnFacts.of(tensor, ColumnSummary.empty).storage == "ragged")
  }

  test("what cannot be computed is absent, and infinities are strings") {
    val column = ShardLayout.of(new StructType().add("x", DoubleType), None).columns.head
    def statistics(values: Float*) =
      ColumnFacts
        .of(
          column,
          ColumnSummary(9, 0, 0, Shape.Unseen, None, Some(scan(values, values.size, 0).numbers), None)
        )
        .statistics
        .get
        .toString
    assert(statistics(Float.NaN) == """{"count":0}""")
    assert(statistics(1, Float.NegativeInfinity) == """{"count":2,"min":"-Infinity","max":1.0,"mean":"-Infinity"}""")
  }
}
