package io.dlcache.shard

/** Count, range, mean and variance of numbers: of all of them, or of each element of a tensor by itself. */
sealed private[dlcache] trait Numbers extends Serializable {

  /** All numbers as one set. */
  def overall: Moments

  /** Both sets of numbers as one; by elements if both are and have as many, or if one set is empty. */
  def merge(other: Numbers): Numbers
}

/** @param count of the numbers, without nulls and NaN
  * @param m2 sum of the squared differences to the mean; NaN if the numbers hold an infinity
  * @param exact least and greatest of integers, of which a double may hold only the nearest
  */
final private[dlcache] case class Moments(
    count: Long,
    min: Double,
    max: Double,
    mean: Double,
    m2: Double,
    exact: Option[(Long, Long)] = None
) extends Numbers {
  override def overall: Moments = this
  def variance: Double = m2 / count
  def isFinite: Boolean = !mean.isNaN && !mean.isInfinite

  override def merge(other: Numbers): Numbers = if (count == 0) other else merge(other.overall)

  def merge(other: Moments): Moments =
    if (other.count == 0) this
    else if (count == 0) other
    else {
      val (n, mean2, m22) = Moments.chan(count, mean, m2, other.count, other.mean, other.m2)
      val range = for ((min1, max1) <- exact; (min2, max2) <- other.exact) yield (min1.min(min2), max1.max(max2))
      Moments(n, min.min(other.min), max.max(other.max), mean2, m22, range)
    }
}

private[dlcache] object Moments {
  val empty: Moments = Moments(0, Double.PositiveInfinity, Double.NegativeInfinity, 0, 0)

  def one(x: Double): Moments = Moments(1, x, x, x, if (x.isInfinite) Double.NaN else 0)

  /** From the sums of the differences to `shift` and of their squares. */
  def shifted(count: Long, min: Double, max: Double, shift: Double, sum: Double, squares: Double): Moments = {
    val m2 = squares - sum * sum / count
    Moments(count, min, max, shift + sum / count, if (m2 < 0) 0 else m2)
  }

  /** Chan, Golub, LeVeque: count, mean and sum of squares of two sets that are not empty. */
  def chan(n1: Long, mean1: Double, m21: Double, n2: Long, mean2: Double, m22: Double): (Long, Double, Double) = {
    val n = n1 + n2
    val delta = mean2 - mean1
    if (delta.isNaN || delta.isInfinite) (n, mean1 + mean2, Double.NaN)
    else (n, mean1 + delta * (n2.toDouble / n), m21 + m22 + delta * delta * (n1.toDouble * n2 / n))
  }
}

/** One entry for each element of a tensor, in row-major order.
  *
  * @param exact least and greatest of integers, of which a double may hold only the nearest
  */
final private[dlcache] case class ElementMoments(
    counts: Array[Long],
    mins: Array[Double],
    maxs: Array[Double],
    means: Array[Double],
    m2s: Array[Double],
    exact: Option[Array[(Long, Long)]] = None
) extends Numbers {
  def size: Int = counts.length
  def isFinite: Boolean = means.forall(mean => !mean.isNaN && !mean.isInfinite)

  def apply(i: Int): Moments = Moments(counts(i), mins(i), maxs(i), means(i), m2s(i), exact.map(_(i)))

  override def overall: Moments = (0 until size).foldLeft(Moments.empty)((all, i) => all.merge(apply(i)))

  override def merge(other: Numbers): Numbers = other match {
    case that: ElementMoments if that.size == size =>
      ElementMoments.of(Array.tabulate(size)(i => apply(i).merge(that(i))))
    case moments: Moments if moments.count == 0 => this
    case _ => overall.merge(other.overall)
  }
}

private[dlcache] object ElementMoments {
  def of(each: Array[Moments]): ElementMoments = {
    val bounds = each.flatMap(_.exact)
    ElementMoments(
      each.map(_.count),
      each.map(_.min),
      each.map(_.max),
      each.map(_.mean),
      each.map(_.m2),
      Option.when(each.nonEmpty && bounds.length == each.length)(bounds)
    )
  }
}
