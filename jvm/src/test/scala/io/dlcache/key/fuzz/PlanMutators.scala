package io.dlcache.key.fuzz

import scala.util.Random

import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Changes one thing of an analyzed plan.
  *
  * @param keeps whether the change keeps the meaning, so that the key must stay
  * @param reorders whether the change may give the rows in another order, or spread them over partitions otherwise
  */
sealed abstract private[fuzz] class PlanMutator(
    val name: String,
    val keeps: Boolean = false,
    val reorders: Boolean = false
) {

  /** Whether this mutator may change something at `site`. */
  def applies(site: Site): Boolean

  /** The changed plan, which may be invalid. */
  def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan]
}

private[fuzz] object PlanMutators {

  val all: Seq[PlanMutator] = Seq(
    Reference,
    Constant,
    Function,
    Field,
    Order,
    Remove,
    Unwrap,
    Wrap,
    Data,
    Hint,
    Partitions,
    InnerName,
    Named,
    Symmetric
  )

  private def pick[A](random: Random, from: Seq[A]): Option[A] =
    Option.when(from.nonEmpty)(from(random.nextInt(from.length)))

  /** A reference to a column, an outer column or a lambda variable: another one of the same type. */
  case object Reference extends PlanMutator("reference") {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case column: AttributeReference =>
        others(site.inputs, column).nonEmpty || others(site.outer, column).nonEmpty
      case variable: NamedLambdaVariable => site.holder != "arguments" && site.variables.exists(isOther(variable))
      case _ => false
    })

    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case column: AttributeReference =>
        val inner = others(site.inputs, column)
        val outer = if (site.inputs == site.outer) Nil else others(site.outer, column).map(OuterReference(_))
        pick(random, inner ++ inner ++ outer).map {
          case other if site.holder == "projectList" || site.holder == "aggregateExpressions" =>
            site.replace(Alias(other, column.name)(exprId = column.exprId))
          case other => site.replace(other)
        }
      case variable: NamedLambdaVariable =>
        pick(random, site.variables.filter(isOther(variable))).map(site.replace(_))
      case _ => None
    }

    private def others(from: Seq[Attribute], column: Attribute) =
      from.filter(other => other.exprId != column.exprId && other.dataType == column.dataType)

    private def isOther(variable: NamedLambdaVariable)(other: NamedLambdaVariable) =
      other.exprId != variable.exprId && other.dataType == variable.dataType
  }

  case object Constant extends PlanMutator("literal") {
    override def applies(site: Site): Boolean = site.field.isEmpty && site.value.isInstanceOf[Literal]
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] =
      OtherValues.ofLiteral(site.value.asInstanceOf[Literal], random).map(site.replace(_))
  }

  /** Another function of the same arguments. */
  case object Function extends PlanMutator("function") {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case _: NamedExpression | _: Literal | _: LambdaFunction => false
      case _: Expression => true
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] =
      pool.sibling(site.value.asInstanceOf[Expression], random).map(site.replace(_))
  }

  /** A flag, number, text, type, mode or option that is no expression. */
  case object Field extends PlanMutator("field") {
    private val Names = Set("name", "qualifier", "identifier", "output")
    override def applies(site: Site): Boolean =
      site.field.nonEmpty && !Names(site.field) && !site.node.isInstanceOf[Literal] &&
        !site.node.isInstanceOf[NamedExpression] && ValuePool.isPlain(site.value)
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = {
      def other = OtherValues.of(site.value, random)
      def seen = pool.another(site, random)
      (if (random.nextBoolean()) other.orElse(seen) else seen.orElse(other)).map(site.replace(_))
    }
  }

  /** Two parts of a list, or two operands, change places. */
  case object Order extends PlanMutator("order", reorders = true) {
    override def applies(site: Site): Boolean = site.value match {
      case parts: Seq[_] => parts.distinct.length > 1
      case binary: BinaryExpression => site.field.isEmpty && binary.left != binary.right
      case join: BinaryNode =>
        site.field.isEmpty && join.left.output.map(_.dataType) == join.right.output.map(_.dataType)
      case _ => false
    }
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case parts: Seq[_] =>
        val i = random.nextInt(parts.length)
        pick(random, parts.indices.filter(parts(_) != parts(i))).map { j =>
          site.replace(parts.updated(i, parts(j)).updated(j, parts(i)))
        }
      case binary: BinaryExpression => Some(site.replace(binary.withNewChildren(Seq(binary.right, binary.left))))
      case node: BinaryNode => Some(site.replace(node.withNewChildren(Seq(node.right, node.left))))
      case _ => None
    }
  }

  /** A list loses one of its parts, or has it twice. */
  case object Remove extends PlanMutator("remove", reorders = true) {
    override def applies(site: Site): Boolean = site.value match {
      case parts: Seq[_] => parts.nonEmpty
      case _ => false
    }
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = {
      val parts = site.value.asInstanceOf[Seq[Any]]
      val i = random.nextInt(parts.length)
      Some(site.replace(if (random.nextInt(4) == 0) parts :+ parts(i) else parts.patch(i, Nil, 1)))
    }
  }

  /** An operator or a function gives way to what it is applied to. */
  case object Unwrap extends PlanMutator("unwrap", reorders = true) {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case _: SubqueryAlias | _: View | _: ResolvedHint => false
      case _: NamedExpression => false
      case expression: Expression => expression.children.exists(_.dataType == expression.dataType)
      case operator: UnaryNode => operator.outputSet.subsetOf(operator.child.outputSet)
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case expression: Expression =>
        pick(random, expression.children.filter(_.dataType == expression.dataType)).map(site.replace(_))
      case operator: UnaryNode => Some(site.replace(operator.child))
      case _ => None
    }
  }

  /** One more operator or function. */
  case object Wrap extends PlanMutator("wrap", reorders = true) {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case _: NamedExpression | _: SortOrder | _: LambdaFunction => false
      case _: Expression => true
      case operator: LogicalPlan => operator.output.nonEmpty
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case expression: Expression =>
        val wrappers =
          Seq[Expression => Expression](UnaryMinus(_), Not(_), IsNull(_), e => Coalesce(Seq(e)), Reverse(_))
        pick(random, wrappers).map(wrap => site.replace(wrap(expression)))
      case operator: LogicalPlan =>
        val wrappers = Seq[LogicalPlan => LogicalPlan](
          Distinct(_),
          Limit(Literal(2), _),
          child => Filter(IsNotNull(child.output.head), child),
          child => Filter(IsNull(child.output.last), child),
          child => Sort(Seq(SortOrder(child.output.head, Descending)), global = true, child),
          child => Union(Seq(child, child))
        )
        pick(random, wrappers).map(wrap => site.replace(wrap(operator)))
      case _ => None
    }
  }

  /** A value of a row that is part of the plan. */
  case object Data extends PlanMutator("data") {
    override def applies(site: Site): Boolean =
      site.node.isInstanceOf[LocalRelation] && site.value.isInstanceOf[InternalRow]
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = {
      val types = site.operator.output.map(_.dataType)
      OtherValues.ofRow(site.value.asInstanceOf[InternalRow], types, random).map(site.replace(_))
    }
  }

  /** A hint on an operator. */
  case object Hint extends PlanMutator("hint", keeps = true, reorders = true) {
    private val Strategies =
      Seq(BROADCAST, NO_BROADCAST_HASH, SHUFFLE_HASH, SHUFFLE_MERGE, SHUFFLE_REPLICATE_NL, PREFER_SHUFFLE_HASH)
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case operator: LogicalPlan => operator.output.nonEmpty
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case join: Join =>
        val hint = Some(HintInfo(strategy = pick(random, Strategies)))
        Some(site.replace(join.copy(hint = if (random.nextBoolean()) JoinHint(hint, None) else JoinHint(None, hint))))
      case operator: LogicalPlan =>
        pick(random, Strategies).map(s => site.replace(ResolvedHint(operator, HintInfo(strategy = Some(s)))))
      case _ => None
    }
  }

  /** How rows are spread over partitions: the slices of a range, a repartition below. */
  case object Partitions extends PlanMutator("partitions", reorders = true) {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case _: Range | _: Repartition | _: RepartitionByExpression => true
      case operator: LogicalPlan => operator.output.nonEmpty
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case range: Range =>
        val slices = pick(random, Seq(Some(1), Some(2), Some(5), None).filter(_ != range.numSlices))
        slices.map(n => site.replace(range.copy(numSlices = n)))
      case operator: LogicalPlan =>
        Some(site.replace(Repartition(1 + random.nextInt(4), shuffle = random.nextBoolean(), operator)))
      case _ => None
    }
  }

  /** The name of a column that is not in the output. */
  case object InnerName extends PlanMutator("inner name", keeps = true) {
    override def applies(site: Site): Boolean = site.field.isEmpty && site.value.isInstanceOf[Alias] &&
      (site.holder == "projectList" || site.holder == "aggregateExpressions") && site.operator.ne(null)
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = {
      val alias = site.value.asInstanceOf[Alias]
      val changed = site.replace(Alias(alias.child, alias.name + "_")(alias.exprId, alias.qualifier))
      Option.when(!changed.output.exists(_.exprId == alias.exprId))(changed)
    }
  }

  /** The alias of a subquery. */
  case object Named extends PlanMutator("subquery alias", keeps = true) {
    override def applies(site: Site): Boolean = Hint.applies(site)
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] =
      Some(site.replace(SubqueryAlias(s"q${random.nextInt(9)}", site.value.asInstanceOf[LogicalPlan])))
  }

  /** The operands of an operator whose value does not depend on their order. */
  case object Symmetric extends PlanMutator("symmetric operands", keeps = true) {
    override def applies(site: Site): Boolean = site.field.isEmpty && (site.value match {
      case binary: BinaryExpression if isSymmetric(binary) =>
        binary.deterministic && binary.children.distinct.length > 1
      case in: In => in.deterministic && in.list.distinct.length > 1
      case _ => false
    })
    override def change(site: Site, pool: ValuePool, random: Random): Option[LogicalPlan] = site.value match {
      case in: In => Some(site.replace(in.copy(list = in.list.reverse)))
      case binary: BinaryExpression => Some(site.replace(binary.withNewChildren(Seq(binary.right, binary.left))))
      case _ => None
    }

    private def isSymmetric(binary: BinaryExpression) = binary match {
      case _: And | _: Or | _: EqualTo | _: EqualNullSafe => true
      case _ => false
    }
  }
}
