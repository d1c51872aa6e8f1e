package io.dlcache.key

import scala.annotation.tailrec

import io.dlcache.spark.PlanLeaf
import org.apache.spark.sql.catalyst.expressions.PlanExpression
import org.apache.spark.sql.catalyst.plans.logical._

/** Seeded random numbers. Each partition draws its own sequence, in the order of its rows. */
private[key] object RandomSequences {

  /** Whether the rows that `operator` sees, their partitions and their order follow from one source and the settings:
    * between it and its source are projections, filters, samples and sorts of partitions only.
    *
    * @param commonTable the definition of a common table expression, by its number
    */
  def followFromSource(operator: LogicalPlan, commonTable: Long => Option[LogicalPlan]): Boolean =
    PlanNodes.kindOf(operator) == PlanNodes.Relational && isNarrow(operator) &&
      endsInSource(operator.children.head, commonTable)

  @tailrec
  private def endsInSource(plan: LogicalPlan, commonTable: Long => Option[LogicalPlan]): Boolean = plan match {
    case node if PlanNodes.kindOf(node) == PlanNodes.Transparent => endsInSource(node.children.head, commonTable)
    case node if PlanNodes.kindOf(node) == PlanNodes.Relational && isNarrow(node) =>
      endsInSource(node.children.head, commonTable)
    case reference: CTERelationRef =>
      // One that is not deterministic, and is used several times, is exchanged.
      commonTable(reference.cteId) match {
        case Some(definition) if isDeterministic(definition) => endsInSource(definition, commonTable)
        case _ => false
      }
    case _: Range | _: OneRowRelation => true
    case leaf => isSource(leaf)
  }

  private def isNarrow(plan: LogicalPlan): Boolean = {
    val isKnown = plan match {
      case _: Project | _: Filter => true
      case sample: Sample => isByRow(sample)
      case sort: Sort => !sort.global
      case _ => false
    }
    isKnown && !plan.expressions.exists(_.exists(_.isInstanceOf[PlanExpression[_]]))
  }

  /** Not one that takes whole blocks of a source, which came with Spark 4.2. */
  private def isByRow(sample: Sample): Boolean =
    PlanNodes.field(sample, "sampleMethod").forall(_.toString == "Bernoulli")

  private def isDeterministic(plan: LogicalPlan): Boolean = plan.deterministic && !plan.exists(_.isInstanceOf[Sample])

  /** Whether Spark divides the leaf by its files or rows and by settings. Bucketed files it divides as the operators above
    * ask for, other tables as they like, and persisted rows as when they were persisted.
    */
  private def isSource(leaf: LogicalPlan): Boolean = PlanLeaf.of(leaf).exists {
    case files: PlanLeaf.Files => files.bucketing.isEmpty
    case _: PlanLeaf.Rows | _: PlanLeaf.PythonList | _: PlanLeaf.ArrowList => true
    case _ => false
  }

  /** Whether a person chose the seed. DataFrame functions without a seed put a random 63 or 64-bit number into the plan,
    * where it looks like any other literal; one of 32 bits is taken for chosen. A wrong guess is harmless: the seed
    * is part of the key either way.
    */
  def isChosen(seed: Any): Boolean = seed match {
    case _: Int | _: Short | _: Byte => true
    case seed: Long => seed >= Int.MinValue.toLong && seed <= 0xffffffffL
    case _ => false
  }
}
