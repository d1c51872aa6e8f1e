package io.dlcache.key

import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** Random plans over random tables. Plans are generated in families: one plan, others that mean the same, and others that
  * differ in one place, so that keys have every occasion to be wrongly equal or wrongly different.
  */
class PlanKeyPropertySuite extends KeySuite with ScalaCheckPropertyChecks {
  import PlanKeyPropertySuite._

  implicit override val generatorDrivenConfig: PropertyCheckConfiguration =
    PropertyCheckConfiguration(minSuccessful = 25, sizeRange = 10)

  private lazy val files = parquet("property", rows = 12)

  private def table(source: Source): DataFrame = source match {
    case Stored => spark.read.parquet(files).selectExpr("id as a", "k as b", "id % 4 as c")
    case Local(rows) =>
      val schema = StructType(Seq("a", "b", "c").map(StructField(_, LongType)))
      spark.createDataFrame(java.util.Arrays.asList(rows.map(Row.fromSeq(_)): _*), schema)
  }

  private def build(plan: Plan): DataFrame = plan.steps.foldLeft(table(plan.source))(step)

  /** All columns are `bigint`, and there is always at least one. */
  private def step(data: DataFrame, step: Step): DataFrame = {
    val names = data.columns
    def name(i: Int) = names(math.floorMod(i, names.length))
    def column(i: Int) = data(name(i))
    step match {
      case Where(comparisons, true) => data.filter(comparisons.map(condition(column, _)).reduce(_ and _))
      case Where(comparisons, false) => data.filter(comparisons.map(condition(column, _)).reduce(_ or _))
      case Keep(columns) => data.select(columns.distinctBy(name).map(column): _*)
      case Rename(i, to) if !names.contains(to) => data.withColumnRenamed(name(i), to)
      case Rename(_, _) => data
      case Compute(i, j, operator, to) =>
        val value = operator match {
          case "+" => column(i) + column(j)
          case "-" => column(i) - column(j)
          case "*" => column(i) * column(j)
        }
        data.withColumn(to, value)
      case Total(key, value, function) =>
        val total = function match {
          case "sum" => sum(column(value))
          case "max" => max(column(value))
          case "count" => count(column(value))
        }
        data.groupBy(column(key)).agg(total.cast("bigint").as("total")).toDF("key", "total")
      case Unite(filter) => data.union(data.filter(condition(column, filter)))
      case Different => data.distinct()
      case Named(alias) => data.alias(alias)
      case Viewed(view) =>
        data.createOrReplaceTempView(view)
        spark.table(view)
      case Meet(_, _) if names.contains("other") => data
      case Meet(i, j) =>
        val other = data.select(column(j).as("other")).distinct()
        data.join(other, column(i) === other("other"))
      case Least(n) => data.orderBy(names.map(col).toSeq: _*).limit(n)
    }
  }

  private def condition(column: Int => org.apache.spark.sql.Column, comparison: Comparison) = {
    val Comparison(i, operator, literal) = comparison
    operator match {
      case "<" => column(i) < literal
      case ">" => column(i) > literal
      case "=" => column(i) === literal
    }
  }

  test("equal keys imply equal schemas and equal results; a plan that is built again has an equal key") {
    forAll(family) { plans =>
      val built = plans.map(plan => (plan, build(plan)))
      val keyed = built.map { case (plan, data) => (plan, data, durable(data)) }
      keyed.foreach { case (plan, _, key) => assert(durable(build(plan)) == key, plan) }
      keyed.groupBy(_._3).values.filter(_.length > 1).foreach { same =>
        val plansText = same.map(_._1).mkString("\n")
        assert(same.map(_._2.schema).distinct.length == 1, plansText)
        assert(same.map(one => rowsOf(one._2)).distinct.length == 1, plansText)
      }
    }
  }

  test("what is only cosmetic keeps the key") {
    forAll(plan, Gen.listOfN(3, cosmetic)) { (plan, changes) =>
      val changed = changes.foldLeft(plan)((plan, change) => change(plan))
      assert(durable(build(changed)) == durable(build(plan)), s"$plan\n$changed")
    }
  }

  private def rowsOf(data: DataFrame): Seq[String] = data.collect().map(_.toString).sorted.toSeq
}

object PlanKeyPropertySuite {
  sealed trait Source
  case object Stored extends Source
  final case class Local(rows: List[List[Long]]) extends Source

  final case class Comparison(column: Int, operator: String, literal: Long)

  sealed trait Step
  final case class Where(comparisons: List[Comparison], all: Boolean) extends Step
  final case class Keep(columns: List[Int]) extends Step
  final case class Rename(column: Int, to: String) extends Step
  final case class Compute(left: Int, right: Int, operator: String, to: String) extends Step
  final case class Total(key: Int, value: Int, function: String) extends Step
  final case class Unite(filter: Comparison) extends Step
  case object Different extends Step
  final case class Named(alias: String) extends Step
  final case class Viewed(view: String) extends Step
  final case class Meet(left: Int, right: Int) extends Step
  final case class Least(rows: Int) extends Step

  final case class Plan(source: Source, steps: List[Step])

  private val index = Gen.choose(0, 3)
  private val comparison =
    for (i <- index; operator <- Gen.oneOf("<", ">", "="); literal <- Gen.choose(0L, 6L))
      yield Comparison(i, operator, literal)

  private val step: Gen[Step] = Gen.oneOf(
    for (n <- Gen.choose(1, 3); comparisons <- Gen.listOfN(n, comparison); all <- Gen.oneOf(true, false))
      yield Where(comparisons, all),
    Gen.nonEmptyListOf(index).map(Keep),
    for (i <- index; to <- Gen.oneOf("x", "y", "a")) yield Rename(i, to),
    for (i <- index; j <- index; operator <- Gen.oneOf("+", "-", "*"); to <- Gen.oneOf("x", "y"))
      yield Compute(i, j, operator, to),
    for (i <- index; j <- index; function <- Gen.oneOf("sum", "max", "count")) yield Total(i, j, function),
    comparison.map(Unite),
    Gen.const(Different),
    for (i <- index; j <- index) yield Meet(i, j),
    Gen.choose(1, 5).map(Least)
  )

  private val source: Gen[Source] = Gen.oneOf(
    Gen.const(Stored),
    Gen.choose(0, 6).flatMap(n => Gen.listOfN(n, Gen.listOfN(3, Gen.choose(0L, 4L)))).map(Local)
  )

  val plan: Gen[Plan] =
    for (source <- source; n <- Gen.choose(1, 4); steps <- Gen.listOfN(n, step)) yield Plan(source, steps)

  /** Changes that keep the meaning. */
  val cosmetic: Gen[Plan => Plan] = Gen.oneOf(
    Gen.oneOf("p", "q").map(alias => (plan: Plan) => plan.copy(steps = Named(alias) :: plan.steps)),
    Gen.oneOf("v", "w").map(view => (plan: Plan) => plan.copy(steps = plan.steps :+ Viewed(view))),
    Gen.const { (plan: Plan) =>
      plan.copy(steps = plan.steps.map {
        case Where(comparisons, all) => Where(comparisons.reverse, all)
        case Compute(i, j, operator, to) if operator != "-" => Compute(j, i, operator, to)
        case other => other
      })
    }
  )

  /** Changes of one place, nearly all of which change the meaning. */
  private val mutation: Gen[Plan => Plan] = {
    def steps(change: PartialFunction[Step, Step]) = (plan: Plan) =>
      plan.copy(steps = plan.steps.map(step => change.applyOrElse(step, identity[Step])))
    Gen.oneOf(
      Gen.const(steps { case Where(first :: rest, all) =>
        Where(first.copy(literal = first.literal + 1) :: rest, all)
      }),
      Gen.const(steps { case Where(comparisons, all) => Where(comparisons, !all) }),
      Gen.const(steps { case Compute(i, j, operator, to) => Compute(j, i, operator, to) }),
      Gen.const(steps { case Compute(i, j, _, to) => Compute(i, j, "-", to) }),
      Gen.const(steps { case Keep(columns) => Keep(columns.reverse) }),
      Gen.const(steps { case Rename(i, _) => Rename(i, "z") }),
      Gen.const(steps { case Total(i, j, _) => Total(j, i, "max") }),
      Gen.const(steps { case Meet(i, j) => Meet(j, i) }),
      Gen.const(steps { case Least(n) => Least(n + 1) }),
      step.map(extra => (plan: Plan) => plan.copy(steps = plan.steps :+ extra)),
      Gen.const((plan: Plan) => plan.copy(steps = plan.steps.reverse)),
      Gen.const { (plan: Plan) =>
        plan.source match {
          case Local(rows) => plan.copy(source = Local(rows.map(_.reverse)))
          case Stored => plan
        }
      }
    )
  }

  val family: Gen[List[Plan]] =
    for {
      first <- plan
      mutations <- Gen.listOfN(3, mutation)
      changes <- Gen.listOfN(2, cosmetic)
    } yield (first :: mutations.map(_(first)) ::: changes.map(_(first))).distinct
}
