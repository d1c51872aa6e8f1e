package io.dlcache.key.fuzz

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.trees.TreeNode

/** One value in a plan, and how to build the plan with another value in its place.
  *
  * @param node the operator or expression that holds the value
  * @param operator the plan operator that `node` is, or belongs to
  * @param field the name of the field
  * @param inputs the columns that an expression may refer to here, those of subqueries in `operator` included
  * @param outer the columns that an outer reference may refer to here
  * @param variables the lambda variables that are bound here
  * @param holder the field that holds `node`, where `node` is an expression
  */
final private[fuzz] case class Site(
    node: TreeNode[_],
    operator: LogicalPlan,
    field: String,
    value: Any,
    inputs: Seq[Attribute],
    outer: Seq[Attribute],
    variables: Seq[NamedLambdaVariable],
    holder: String,
    replace: Any => LogicalPlan
) {
  def nodeName: String = node.getClass.getSimpleName.stripSuffix("$")
  override def toString: String = s"$nodeName.$field = ${String.valueOf(value).take(100)}"
}

/** All places of a plan, its subqueries and common table expressions included. */
private[fuzz] object PlanSites {

  /** The root, then every field of every operator and expression, and every element of fields that are sequences. */
  def of(plan: LogicalPlan): Seq[Site] = {
    val found = Seq.newBuilder[Site]
    new Visitor(found += _).plan(plan, Nil, changed => changed.asInstanceOf[LogicalPlan])
    found.result()
  }

  /** Fields that only say what another field says, or that are identities. */
  private val Derived = Set("outerAttrs", "outerScopeAttrs", "exprId", "nodeId", "desc", "resultId")

  final private class Visitor(found: Site => Unit) {

    def plan(node: LogicalPlan, outer: Seq[Attribute], replace: Any => LogicalPlan): Unit = {
      val inputs = (node.children ++ lateral(node)).flatMap(_.output) ++ node.metadataOutput
      fields(node, node, inputs, outer, Nil, "", replace)
    }

    private def lateral(node: LogicalPlan): Seq[LogicalPlan] = node.productIterator.collect {
      case subquery: PlanExpression[_] => subquery.plan.asInstanceOf[LogicalPlan]
    }.toSeq

    private def fields(
        node: TreeNode[_],
        operator: LogicalPlan,
        inputs: Seq[Attribute],
        outer: Seq[Attribute],
        variables: Seq[NamedLambdaVariable],
        holder: String,
        replace: Any => LogicalPlan
    ): Unit = {
      found(Site(node, operator, "", node, inputs, outer, variables, holder, replace))
      val arguments = node.asInstanceOf[Product].productIterator.toIndexedSeq
      val names = node.asInstanceOf[Product].productElementNames.toIndexedSeq
      val bound = node match {
        case lambda: LambdaFunction => variables ++ lambda.arguments.collect { case v: NamedLambdaVariable => v }
        case _ => variables
      }
      val replacement = node match {
        case replaced: RuntimeReplaceable if replaced.children.contains(replaced.replacement) =>
          Some(replaced.replacement)
        case _ => None
      }
      for {
        (value, i) <- arguments.zipWithIndex
        if replacement.forall(_ eq value.asInstanceOf[AnyRef]) && !Derived(names(i))
      } {
        def set(changed: Any) = replace(copied(node, arguments.updated(i, changed)))
        def visit(part: Any, put: Any => LogicalPlan): Unit = part match {
          case subquery: LogicalPlan if node.isInstanceOf[Expression] => plan(subquery, inputs ++ outer, put)
          case child: LogicalPlan => plan(child, outer, put)
          case child: Expression if isOuterReference(node) =>
            fields(child, operator, outer, outer, bound, names(i), put)
          case child: Expression => fields(child, operator, inputs, outer, bound, names(i), put)
          case parts: Seq[_] =>
            found(Site(node, operator, names(i), parts, inputs, outer, bound, holder, put))
            parts.zipWithIndex.foreach { case (one, j) => visit(one, one => put(parts.updated(j, one))) }
          case Some(inner) =>
            found(Site(node, operator, names(i), part, inputs, outer, bound, holder, put))
            visit(inner, inner => put(Some(inner)))
          case (left, right) =>
            visit(left, left => put((left, right)))
            visit(right, right => put((left, right)))
          case other => found(Site(node, operator, names(i), other, inputs, outer, bound, holder, put))
        }
        visit(value, set)
      }
    }
  }

  /** `OuterScopeReference` came after Spark 4.0. */
  private def isOuterReference(node: TreeNode[_]): Boolean =
    Set("OuterReference", "OuterScopeReference")(node.getClass.getSimpleName)

  private def copied(node: TreeNode[_], arguments: Seq[Any]): TreeNode[_] =
    node.makeCopy(arguments.map(_.asInstanceOf[AnyRef]).toArray).asInstanceOf[TreeNode[_]] match {
      case subquery: SubqueryExpression =>
        subquery.withNewOuterAttrs(SubExprUtils.getOuterReferences(subquery.plan))
      case other => other
    }
}
