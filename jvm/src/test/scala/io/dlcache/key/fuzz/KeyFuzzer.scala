package io.dlcache.key.fuzz

import java.util.concurrent.{Executors, TimeUnit}

import scala.collection.mutable
import scala.util.{Failure, Random, Success, Try}

import io.dlcache.key.PlanKey
import org.apache.spark.sql.{DataFrame, KeyTestAccess, SparkSession}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** Looks for plans with equal keys and other rows. Each step takes a query of the corpus, changes one thing, and compares
  * with all plans that had the same key before.
  *
  * @param seed decides all choices: a run can be repeated
  * @param say gets each finding as soon as there is one
  */
final private[fuzz] class KeyFuzzer(session: SparkSession, corpus: Seq[Query], seed: Long, say: String => Unit)
    extends AutoCloseable {
  import KeyFuzzer._

  private val random = new Random(seed)
  private val seen = mutable.LinkedHashMap.empty[String, Seen]
  private val watchdog = Executors.newSingleThreadScheduledExecutor()
  private val report = new FuzzReport(seed, say)

  private val bases = mutable.Map.empty[Int, Option[Base]]
  private val pool = new ValuePool
  private lazy val settings = new Settings(session)

  /** Steps until `enough`. */
  def run(enough: FuzzReport => Boolean): FuzzReport = {
    var order = List.empty[Int]
    while (!enough(report)) {
      if (order.isEmpty) order = random.shuffle(corpus.indices.toList)
      bases.getOrElseUpdate(order.head, baseOf(corpus(order.head))).foreach(visit(_, enough))
      order = order.tail
    }
    report
  }

  private def visit(base: Base, enough: FuzzReport => Boolean): Unit =
    for (_ <- 1 to StepsPerVisit if !enough(report))
      Try(step(base)).recover { case error => report.broken(base.query.name, error) }

  private def baseOf(query: Query): Option[Base] = Try(new Base(query, query.build(session))) match {
    case Success(base) =>
      pool.add(base.plan)
      remember(query.name, base.data, base.key, Map.empty, Mutation("query", "", keeps = false, reorders = false))
      Some(base)
    case Failure(error) =>
      if (!query.optional) report.unbuilt(query.name, error)
      None
  }

  private def step(base: Base): Unit = random.nextInt(20) match {
    case 0 => settingStep(base)
    case 1 | 2 if base.query.variants.nonEmpty =>
      val (what, build) = base.query.variants(random.nextInt(base.query.variants.length))
      mutant(base, Mutation("parameter", what, keeps = false, reorders = true))(build(session))
    case 3 =>
      mutant(base, Mutation("written again", "", keeps = true, reorders = true))(base.query.build(session))
    case _ => planStep(base)
  }

  private def planStep(base: Base): Unit = {
    val keeping = random.nextInt(5) == 0
    val choices = base.sites.filter(_._1.keeps == keeping)
    if (choices.nonEmpty) {
      val (mutator, sites) = choices(random.nextInt(choices.length))
      val site = sites(random.nextInt(sites.length))
      Try(mutator.change(site, pool, random)) match {
        case Success(Some(plan)) =>
          val mutation = Mutation(mutator.name, site.toString, mutator.keeps, mutator.reorders, operatorOf(site))
          mutant(base, mutation)(KeyTestAccess.dataFrame(session, plan))
        case _ => report.invalid(mutator.name)
      }
    }
  }

  private def operatorOf(site: Site): String = site.operator.getClass.getSimpleName

  private def mutant(base: Base, mutation: Mutation)(build: => DataFrame): Unit =
    Try { val data = build; (data, keyOf(data)) } match {
      case Failure(_) => report.invalid(mutation.mutator)
      case Success((data, key)) =>
        report.pair(mutation)
        if (mutation.keeps && key.digest != base.key.digest && base.isDurable) {
          report.lost(Lost(base.query.name, mutation, explained(base.data), explained(data)))
        }
        compare(s"${base.query.name} [${mutation.mutator}: ${mutation.what}]", data, key, Map.empty, mutation)
    }

  /** Several settings at once, under each of which the key stays; if the rows change, the one that changes them. */
  private def settingStep(base: Base): Unit = {
    val mutation = Mutation("setting", "", keeps = false, reorders = true)
    val drawn = Seq.fill(SettingsAtOnce)(settings.all(random.nextInt(settings.all.length)))
    val group = drawn.filter { case (name, value) =>
      report.pair(mutation)
      keepsKey(base, Map(name -> value))
    }.toMap
    if (group.nonEmpty && differs(base, group)) {
      val found = Settings.smallest(group)(differs(base, _))
      val what = found.map { case (name, value) => s"$name=$value" }.mkString(", ")
      val (data, key) = Settings.holding(session, found) {
        val data = base.query.build(session)
        (data, keyOf(data))
      }
      compare(s"${base.query.name} [under $what]", data, key, found, mutation.copy(what = what))
    }
  }

  private def keepsKey(base: Base, settings: Map[String, String]): Boolean = Settings.holding(session, settings) {
    Try(keyOf(base.query.build(session)).digest == base.key.digest).getOrElse(false)
  }

  /** Whether `base` has its key under `group`, and other rows. */
  private def differs(base: Base, group: Map[String, String]): Boolean =
    base.rows.isSuccess && keepsKey(base, group) && Settings.holding(session, group) {
      Try {
        val data = base.query.build(session)
        val rows = rowsOf(data)
        group.foreach(_ => report.compared(Mutation("setting", "", keeps = false, reorders = true)))
        data.schema != base.data.schema || base.rows.get != rows
      }.getOrElse(false)
    }

  /** Compares with the plan that had this key first. */
  private def compare(
      name: String,
      data: DataFrame,
      key: PlanKey,
      confs: Map[String, String],
      mutation: Mutation
  ): Unit = seen.get(key.digest) match {
    case None => remember(name, data, key, confs, mutation)
    case Some(first) =>
      val outcome = for (one <- first.rows; other <- rowsUnder(confs, data)) yield (one, other)
      outcome match {
        case Failure(_) => report.failed(mutation)
        case Success((one, other)) =>
          report.compared(mutation)
          if (first.data.schema != data.schema || one != other) {
            val valid =
              if (mutation.reorders || first.mutation.reorders) Rows.severalValid(data.queryExecution.analyzed)
              else None
            if (valid.isDefined && first.data.schema == data.schema) report.valid(mutation, valid.get)
            else
              report.falseHit(
                FalseHit(name, first.name, mutation, key.scope, one, other, explained(first.data), explained(data))
              )
          }
      }
  }

  private def remember(
      name: String,
      data: DataFrame,
      key: PlanKey,
      confs: Map[String, String],
      mutation: Mutation
  ): Unit = if (!seen.contains(key.digest)) {
    seen(key.digest) = new Seen(name, data, confs, mutation)
    if (seen.size > Remembered) seen.remove(seen.keysIterator.next()): Unit
  }

  private def keyOf(data: DataFrame): PlanKey = PlanKey.of(data, Map.empty, None)

  private def explained(data: DataFrame): String = data.queryExecution.analyzed.treeString.linesIterator.take(40)
    .map(_.take(300)).mkString("\n")

  private def rowsUnder(confs: Map[String, String], data: DataFrame): Try[Rows] =
    Try(Settings.holding(session, confs)(rowsOf(data)))

  /** A mutant may never end: its jobs are cancelled after a while. */
  private def rowsOf(data: DataFrame): Rows = {
    val context = session.sparkContext
    val cancel = watchdog.schedule((() => context.cancelAllJobs()): Runnable, 20, TimeUnit.SECONDS)
    try Rows.of(data)
    finally cancel.cancel(false): Unit
  }

  override def close(): Unit = watchdog.shutdownNow(): Unit

  /** A plan that was met before. */
  final private class Seen(val name: String, val data: DataFrame, confs: Map[String, String], val mutation: Mutation) {
    lazy val rows: Try[Rows] = rowsUnder(confs, data)
  }

  /** A query of the corpus, and where it can be changed. */
  final private[fuzz] class Base(val query: Query, val data: DataFrame) {
    val plan: LogicalPlan = data.queryExecution.analyzed
    val key: PlanKey = keyOf(data)
    def isDurable: Boolean = key.scope == PlanKey.Durable
    lazy val rows: Try[Rows] = Try(rowsOf(data))
    lazy val sites: IndexedSeq[(PlanMutator, IndexedSeq[Site])] = {
      val all = PlanSites.of(plan)
      PlanMutators.all.map(mutator =>
        mutator -> all.filter(site => Try(mutator.applies(site)).getOrElse(false)).toIndexedSeq
      ).filter(_._2.nonEmpty)
        .toIndexedSeq
    }
  }
}

private[fuzz] object KeyFuzzer {

  /** Plans that are kept to be compared with. */
  private val Remembered = 20000

  private val SettingsAtOnce = 12

  /** How often a query is changed before the next one's turn. */
  private val StepsPerVisit = 8

  /** One change.
    *
    * @param operator the plan operator that it is in
    */
  final case class Mutation(
      mutator: String,
      what: String,
      keeps: Boolean,
      reorders: Boolean,
      operator: String = ""
  )

  /** Two plans of one key and different rows. */
  final case class FalseHit(
      name: String,
      first: String,
      mutation: Mutation,
      scope: String,
      firstRows: Rows,
      rows: Rows,
      firstPlan: String,
      plan: String
  )

  /** A change that keeps the meaning and not the key. */
  final case class Lost(name: String, mutation: Mutation, before: String, after: String)
}
