package io.dlcache.key.fuzz

import scala.collection.mutable

import io.dlcache.key.fuzz.KeyFuzzer.{FalseHit, Lost, Mutation}

/** What a run has done and found. */
final private[fuzz] class FuzzReport(seed: Long, say: String => Unit) {
  private lazy val begin = System.nanoTime
  private val pairsOf = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val comparedOf = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val invalidOf = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val operators = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val validOf = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val failedOf = mutable.Map.empty[String, Int].withDefaultValue(0)
  private val hits = mutable.LinkedHashMap.empty[String, (FalseHit, Int)]
  private val losses = mutable.LinkedHashMap.empty[String, Lost]
  private val notBuilt = mutable.LinkedHashMap.empty[String, Throwable]

  def pairs: Int = pairsOf.values.sum
  def comparisons: Int = comparedOf.values.sum
  def seconds: Double = (System.nanoTime - begin) / 1e9

  /** False hits, one for each mutator and operator. */
  def falseHits: Seq[FalseHit] = hits.values.map(_._1).toSeq
  def lost: Seq[Lost] = losses.values.toSeq

  /** Queries of the corpus that this Spark cannot analyze. */
  def unbuilt: Map[String, Throwable] = notBuilt.toMap

  def pair(mutation: Mutation): Unit = {
    pairsOf(mutation.mutator) += 1
    if (mutation.operator.nonEmpty) operators(mutation.operator) += 1
  }
  def compared(mutation: Mutation): Unit = comparedOf(mutation.mutator) += 1
  def invalid(mutator: String): Unit = invalidOf(mutator) += 1
  def failed(mutation: Mutation): Unit = failedOf(mutation.mutator) += 1
  def valid(mutation: Mutation, why: String): Unit = validOf(s"$why (${mutation.mutator})") += 1
  def broken(name: String, error: Throwable): Unit = say(s"a step of $name fails: $error")
  def unbuilt(name: String, error: Throwable): Unit = notBuilt(name) = error

  def falseHit(hit: FalseHit): Unit = {
    val kind = s"${hit.mutation.mutator} in ${hit.mutation.operator} of ${hit.name.takeWhile(_ != '[')}"
    if (!hits.contains(kind)) {
      hits(kind) = (hit, pairs)
      say(textOf(hit, pairs))
    }
  }

  def lost(loss: Lost): Unit = {
    val kind = s"${loss.mutation.mutator} in ${loss.mutation.operator}"
    if (!losses.contains(kind)) {
      losses(kind) = loss
      say(textOf(loss))
    }
  }

  def summary: String = {
    def table(title: String, counts: mutable.Map[String, Int]) =
      counts.toSeq.sortBy(-_._2).map { case (name, n) => s"$name $n" }.mkString(s"$title: ", ", ", "")
    Seq(
      f"seed $seed: $pairs pairs in $seconds%.0f s, $comparisons of them with equal keys executed and compared",
      table("pairs by mutator", pairsOf),
      table("equal keys by mutator", comparedOf),
      table("changes without a valid plan", invalidOf),
      table("equal keys, but a plan fails", failedOf),
      table("several results are valid", validOf),
      table("pairs by operator", operators),
      s"${hits.size} false hits, ${losses.size} lost keys"
    ).mkString("\n")
  }

  def details: String =
    (hits.values.map { case (hit, pairs) => textOf(hit, pairs) } ++ losses.values.map(textOf)).mkString("\n\n")

  private def textOf(hit: FalseHit, pairs: Int): String =
    s"""FALSE HIT (${hit.scope}) after $pairs pairs, by ${hit.mutation.mutator}: ${hit.mutation.what}
       |  of ${hit.name}
       |  has the key of ${hit.first}
       |  ${hit.firstRows}
       |  ${hit.rows}
       |${hit.firstPlan}
       |${hit.plan}
       |""".stripMargin

  private def textOf(loss: Lost): String =
    s"""LOST KEY by ${loss.mutation.mutator}: ${loss.mutation.what}
       |  of ${loss.name}
       |${loss.before}
       |${loss.after}
       |""".stripMargin
}
