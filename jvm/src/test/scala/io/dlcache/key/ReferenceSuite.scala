package io.dlcache.key

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Every reference counts: an operator that refers to another column of the same type has another key. */
class ReferenceSuite extends KeySuite {
  import ReferenceSuite._

  private lazy val views: Unit = {
    spark.range(6).selectExpr(
      "id a",
      "id % 3 b",
      "id * 2 c",
      "array(id, id + 1) xs",
      "array(id) ys",
      "map(id, id) m",
      "cast(id as string) s",
      "cast(id as string) t",
      "timestamp_seconds(id) at",
      "timestamp_seconds(id) bt"
    )
      .createOrReplaceTempView("t")
    spark.range(6).selectExpr("id a", "id % 2 b", "id + 1 c").createOrReplaceTempView("u")
  }

  private def query(text: String): DataFrame = {
    views
    spark.sql(text)
  }

  test("a lateral join counts the columns of its right side") {
    def on(column: String) =
      query(s"select * from u join lateral (select u.a + 1 x, u.b + 1 y) s on u.b = s.$column")
    assert(durable(on("x")) == durable(on("x")))
    assert(durable(on("x")) != durable(on("y")))
  }

  private val queries = Seq(
    "select a + b from t",
    "select a from t where b > c",
    "select t.a, u.b from t join u on t.a = u.b",
    "select t.a from t left semi join u on t.a = u.a and t.b < u.b",
    "select * from u join lateral (select u.a + 1 x, u.b + 1 y) s on u.b = s.x",
    "select * from u left join lateral (select t.a + u.a x, t.b y from t where t.c = u.c) s on u.b = s.y",
    "select * from u, lateral (select * from (select u.a x, u.b w), lateral (select x + w y, w z)) s",
    "select a, (select max(u.b) from u where u.c = t.c) m from t",
    "select a from t where exists (select 1 from u where u.a = t.a and u.b < t.b)",
    "select a from t where a in (select b from u)",
    "select a from t where (a, b) in (select b, c from u)",
    "select a from t where (a, b) not in (select u.b, u.c from u where u.a = t.c)",
    "select b, sum(a), max(c) filter (where a > 1) from t group by b",
    "select b, c, sum(a), grouping(b) from t group by cube (b, c)",
    "select b, c, sum(a), grouping_id(b, c) from t group by grouping sets ((b), (c), (b, c))",
    "select b, sum(a) s from t group by b having sum(a) > max(c)",
    "select count(distinct a), count(distinct b) from t",
    "select * from (select a, b, c from t) pivot (sum(a), max(c) for b in (0, 1))",
    "select * from (select a, b, c from t) unpivot (v for n in (b, c))",
    "select a, sum(b) over (partition by c order by a rows between 1 preceding and current row) w from t",
    "select a, lag(b, 1, c) over (order by a) w, rank() over (partition by b order by c) r from t",
    "select a, e, b from t lateral view explode(xs) x as e",
    "select a, p, e from t lateral view outer posexplode(ys) x as p, e where e > p",
    "select k, v from t lateral view explode(m) x as k, v where k < v",
    "select * from t, lateral explode(xs) as x(e)",
    "select inline(arrays_zip(xs, ys)) from t",
    "select stack(2, a, b, b, c) from t",
    "select transform(xs, x -> x + a) from t",
    "select transform(xs, (x, i) -> x + i + b), aggregate(xs, a, (s, x) -> s + x + b, s -> s + c) from t",
    "select transform(xs, x -> transform(ys, y -> x + y + a)) from t",
    "select zip_with(xs, ys, (x, y) -> x - y), map_filter(m, (k, v) -> k > v) from t",
    "select a between b and c, nullif(a, b), coalesce(a, b, c) from t",
    "select s like t, regexp_replace(s, t, 'x'), concat(s, t) from t",
    "select struct(a, b).a, named_struct('x', a, 'y', b) from t",
    "select window(at, '1 minute'), sum(a) from t group by window(at, '1 minute')",
    "select session_window(at, '1 minute'), sum(a) from t group by session_window(at, '1 minute')",
    "with r as (select a, b from t) select x.a, y.b from r x join r y on x.a = y.b",
    "with r as (select a, b from t), q as (select a from r where b > 1) select * from q where a in (select b from r)",
    "select a from t union all select b from t union select c from t",
    "select a, b from t intersect select b, c from t",
    "select a, b from t except all select b, c from t",
    "select distinct a, b from t order by b, a limit 3 offset 1",
    "select /*+ repartition(3, a) */ a, b from t distribute by b sort by a",
    "select a, b from t cluster by b",
    "select a, s from t tablesample (50 percent) repeatable (7)"
  )

  test("a reference to another column of the same type is another key, in every operator and expression") {
    val plans = queries.map(text => text -> query(text).queryExecution.analyzed) ++ byHand ++ recursive
    val pairs = plans.map { case (text, plan) =>
      val before = new PlanEncoder().encode(plan)
      assert(new PlanEncoder().encode(plan) == before, text)
      val swapped = Swaps.of(plan)
      assert(swapped.nonEmpty, text)
      swapped.foreach { changed =>
        assert(new PlanEncoder().encode(changed) != before, s"$text\n$plan\n$changed")
      }
      swapped.length
    }
    info(s"${pairs.sum} swapped references in ${plans.length} queries")
  }

  test("known queries hold no reference that does not resolve") {
    (queries.map(text => text -> query(text).queryExecution.analyzed) ++ recursive).foreach { case (text, plan) =>
      val encoder = new PlanEncoder()
      encoder.encode(plan)
      assert(!encoder.reasons.map(_.code).contains("unresolved-reference"), s"$text: ${encoder.reasons}")
    }
  }

  private def recursive: Seq[(String, LogicalPlan)] = {
    val text = "with recursive r(n, k) as (select a, b from u union all select n + 1, k + 1 from r where n < 5) " +
      "select n, k from r where n > 1"
    if (spark.version >= "4.1") Seq(text -> query(text).queryExecution.analyzed) else Nil
  }

  /** Operators that SQL does not make, or not in a query that Spark runs as a batch. */
  private def byHand: Seq[(String, LogicalPlan)] = {
    views
    val session = spark
    import session.implicits._
    val data = spark.table("u")
    val plan = data.queryExecution.analyzed
    Seq(
      "drop duplicates" -> data.dropDuplicates("a").queryExecution.analyzed,
      "drop duplicates within watermark" -> DeduplicateWithinWatermark(plan.output.take(2), plan),
      "range partitions" -> data.repartitionByRange(3, $"a", $"b").queryExecution.analyzed,
      "typed" -> data.select($"a").as[Long].map(_ + 1).queryExecution.analyzed,
      "unknown" -> ForeignExpressions(Seq(plan.output.head), plan),
      "sorted local" -> data.sortWithinPartitions($"a", $"b").queryExecution.analyzed
    )
  }

  test("what does not resolve is a reason, and counts by its number") {
    views
    val plan = spark.table("u").queryExecution.analyzed
    def foreign() = AttributeReference("x", plan.output.head.dataType)()
    val variable = NamedLambdaVariable("v", plan.output.head.dataType, nullable = true)
    val broken = Seq[() => Expression](
      () => foreign(),
      () => OuterReference(foreign()),
      () => variable.copy(exprId = NamedExpression.newExprId)
    )
    broken.foreach { expression =>
      def encoded() = {
        val encoder = new PlanEncoder()
        val digest = encoder.encode(Filter(GreaterThan(expression(), Literal(1L)), plan))
        assert(encoder.reasons.map(_.code) == Seq("unresolved-reference"))
        digest
      }
      assert(encoded() != encoded(), expression())
    }
  }

  test("a common table expression or a loop that is not found is a reason, and counts by its number") {
    def encoded(id: Long) = {
      val encoder = new PlanEncoder()
      val digest = encoder.encode(CTERelationRef(id, _resolved = true, output = Nil, isStreaming = false))
      assert(encoder.reasons.nonEmpty && !encoder.isRepeatable)
      digest
    }
    assert(encoded(1) != encoded(2))
  }
}

object ReferenceSuite {

  /** Plans with one reference more or less swapped for another column that its operator can refer to. */
  object Swaps {
    def of(plan: LogicalPlan): Seq[LogicalPlan] =
      Iterator.from(0).map(new Swap(_)).map(swap => (swap.rewrite(plan, Nil), swap.isDone))
        .takeWhile(_._2).map(_._1).toSeq
  }

  /** Swaps the reference number `wanted`. */
  final class Swap(wanted: Int) {
    private var seen = 0
    def isDone: Boolean = seen > wanted

    def rewrite(plan: LogicalPlan, outer: Seq[Attribute]): LogicalPlan = plan match {
      case hidden: CollectMetrics => hidden
      case leaf: LeafNode => leaf
      case WithCTE(main, definitions) =>
        val changed = definitions.map(one => one.copy(child = rewrite(one.child, outer)))
        WithCTE(rewrite(main, outer), changed)
      case node =>
        val visible = PlanNodes.inputsOf(node)
        val children = node.children.map(rewrite(_, outer))
        val changed = node.mapExpressions(expression(_, visible, visible ++ outer, outer))
        changed.withNewChildren(children)
    }

    private def expression(
        root: Expression,
        visible: Seq[Attribute],
        outerOfSubqueries: Seq[Attribute],
        outer: Seq[Attribute]
    ): Expression = root.transformDown {
      case column: AttributeReference => swap(column, visible).getOrElse(column)
      case OuterReference(column: AttributeReference) => OuterReference(swap(column, outer).getOrElse(column))
      case subquery: SubqueryExpression => subquery.withNewPlan(rewrite(subquery.plan, outerOfSubqueries))
    }

    private def swap(column: AttributeReference, visible: Seq[Attribute]): Option[AttributeReference] = {
      def isOther(other: Attribute) = other.exprId != column.exprId && other.dataType == column.dataType
      if (!visible.exists(_.exprId == column.exprId)) None
      else
        visible.find(isOther).collect { case other: AttributeReference => other }.filter { _ =>
          seen += 1
          seen == wanted + 1
        }
    }
  }
}

/** An operator of a third party. */
case class ForeignExpressions(columns: Seq[Expression], child: LogicalPlan) extends UnaryNode {
  override def output: Seq[Attribute] = child.output
  override protected def withNewChildInternal(newChild: LogicalPlan): LogicalPlan = copy(child = newChild)
}
