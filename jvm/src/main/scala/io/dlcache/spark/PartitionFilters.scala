package io.dlcache.spark

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.{Cross, Inner, LeftAnti, LeftOuter, LeftSemi, RightOuter}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.execution.datasources.{HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.v2.{DataSourceV2Relation, FileTable}
import org.apache.spark.sql.types.StructType

/** A relation of files under conditions on its partition columns, which no row of other partitions can meet. */
final private[spark] case class FilteredRelation(relation: LogicalPlan, filters: Seq[Expression]) extends LeafNode {
  override def output: Seq[Attribute] = relation.output
}

/** Says at each relation of files which of its partitions a plan can need: the plan's own filters, pushed down as far as
  * they commute with what lies between. Spark's optimizer pushes them at least as far, so what it reads is part of that.
  */
private[spark] object PartitionFilters {

  def pushed(plan: LogicalPlan): LogicalPlan = push(plan, Nil)

  private def push(plan: LogicalPlan, conditions: Seq[Expression]): LogicalPlan = plan match {
    case filter: Filter if filter.condition.deterministic =>
      val own = if (SubqueryExpression.hasSubquery(filter.condition)) Nil else conjuncts(filter.condition)
      filter.withNewChildren(Seq(push(filter.child, conditions ++ own)))
    case project: Project if project.projectList.forall(_.deterministic) =>
      project.withNewChildren(Seq(push(project.child, conditions.map(below(project, _)))))
    case _: SubqueryAlias | _: View | _: ResolvedHint | _: Sort | _: Distinct =>
      plan.withNewChildren(Seq(push(plan.children.head, conditions)))
    case join: Join if join.condition.forall(_.deterministic) =>
      val toLeft = join.joinType match {
        case Inner | Cross | LeftOuter | LeftSemi | LeftAnti => true
        case _ => false
      }
      val toRight = join.joinType match {
        case Inner | Cross | RightOuter => true
        case _ => false
      }
      def of(side: LogicalPlan) = conditions.filter(_.references.subsetOf(side.outputSet))
      join.withNewChildren(
        Seq(
          push(join.left, if (toLeft) of(join.left) else Nil),
          push(join.right, if (toRight) of(join.right) else Nil)
        )
      )
    case relation: LogicalRelation =>
      relation.relation match {
        case files: HadoopFsRelation => filtered(relation, files.partitionSchema, conditions)
        case _ => relation
      }
    case relation: DataSourceV2Relation =>
      relation.table match {
        case files: FileTable => filtered(relation, files.fileIndex.partitionSchema, conditions)
        case _ => relation
      }
    case _ => plan.mapChildren(push(_, Nil))
  }

  private def conjuncts(condition: Expression): Seq[Expression] = condition match {
    case And(left, right) => conjuncts(left) ++ conjuncts(right)
    case other => Seq(other)
  }

  /** A condition on a projection's columns, as one on its child's. */
  private def below(project: Project, condition: Expression): Expression = {
    val columns = AttributeMap(project.projectList.collect { case alias: Alias => alias.toAttribute -> alias.child })
    condition.transform { case column: Attribute => columns.getOrElse(column, column) }
  }

  private def filtered(relation: LogicalPlan, partitions: StructType, conditions: Seq[Expression]): LogicalPlan = {
    // Indexes look columns up by the names of the partition schema.
    val columns = AttributeMap(partitions.fieldNames.toSeq.flatMap { name =>
      relation.output.find(_.name.equalsIgnoreCase(name)).map(column => column -> column.withName(name))
    })
    val filters = conditions.flatMap(evaluable).collect {
      case condition if condition.references.nonEmpty && condition.references.forall(columns.contains) =>
        condition.transform { case column: Attribute => columns(column) }
    }
    if (filters.isEmpty) relation else FilteredRelation(relation, filters)
  }

  /** The condition in a form that can be evaluated on the driver, if there is one. User's code is not run. */
  private def evaluable(condition: Expression): Option[Expression] = {
    val replaced = condition.transform { case short: RuntimeReplaceable => short.replacement }
    val unknown = replaced.exists {
      case _: AttributeReference => false
      case _: Unevaluable | _: UserDefinedExpression => true
      case other => !other.getClass.getName.startsWith("org.apache.spark.sql.catalyst.expressions.")
    }
    Option.when(!unknown && replaced.deterministic && replaced.resolved)(replaced)
  }
}
