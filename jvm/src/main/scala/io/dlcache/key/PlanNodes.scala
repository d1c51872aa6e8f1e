package io.dlcache.key

import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** The plan operators that are known, by name, and how each counts. */
private[key] object PlanNodes {

  sealed trait Kind

  /** The rows follow from the operator's fields and its children's rows; names of columns do not matter. */
  case object Relational extends Kind

  /** Holds a JVM function over objects. */
  case object Typed extends Kind

  /** Holds a Python function over batches or groups of rows. */
  case object Python extends Kind
  case object Unknown extends Kind

  /** A field that names a recursive query, whose number is new in each analysis. */
  final case class LoopId(id: Long)

  private val Logical = "org.apache.spark.sql.catalyst.plans.logical."

  /** Operators whose rows are their child's. */
  val Transparent: Set[String] =
    Set("SubqueryAlias", "View", "ResolvedHint", "CollectMetrics", "SQLFunctionNode", "ReturnAnswer", "LimitAll")

  private val relational: Set[String] = Set(
    "Aggregate",
    "AsOfJoin",
    "Deduplicate",
    "DeserializeToObject",
    "Distinct",
    "Except",
    "Expand",
    "Filter",
    "Generate",
    "GlobalLimit",
    "Intersect",
    "Join",
    "LateralJoin",
    "LocalLimit",
    "Offset",
    "OneRowRelation",
    "Project",
    "Range",
    "RebalancePartitions",
    "Repartition",
    "RepartitionByExpression",
    "Sample",
    "SerializeFromObject",
    "Sort",
    "Tail",
    "Union",
    "UnionLoop",
    "UnionLoopRef",
    "Window"
  )

  private val typed: Set[String] = Set(
    "AppendColumns",
    "AppendColumnsWithObject",
    "CoGroup",
    "FlatMapGroupsInR",
    "FlatMapGroupsInRWithArrow",
    "FlatMapGroupsWithState",
    "MapElements",
    "MapGroups",
    "MapPartitions",
    "MapPartitionsInR",
    "MapPartitionsInRWithArrow",
    "TypedFilter"
  )

  private val python: Set[String] = Set(
    "FlatMapCoGroupsInArrow",
    "FlatMapCoGroupsInPandas",
    "FlatMapGroupsInArrow",
    "FlatMapGroupsInPandas",
    "MapInArrow",
    "MapInPandas",
    "PythonMapInArrow"
  )

  /** Fields that say how, not what, by operator. */
  private val unimportant: Map[String, Set[String]] = Map("Range" -> Set("numSlices", "output"))

  def nameOf(plan: LogicalPlan): String = plan.getClass.getSimpleName

  def kindOf(plan: LogicalPlan): Kind = {
    val name = nameOf(plan)
    if (plan.getClass.getName != Logical + name) Unknown
    else if (relational(name)) Relational
    else if (typed(name)) Typed
    else if (python(name)) Python
    else Unknown
  }

  /** The number of the recursive query that `plan` is the definition of. */
  def loopOf(plan: LogicalPlan): Option[Long] = nameOf(plan) match {
    case "UnionLoop" => field(plan, "id").collect { case id: Long => id }
    case _ => None
  }

  def fieldsOf(plan: LogicalPlan): Iterator[Any] = {
    val name = nameOf(plan)
    val left = unimportant.getOrElse(name, Set.empty)
    plan.productElementNames.zip(plan.productIterator).collect {
      case ("id", id: Long) if name == "UnionLoop" => LoopId(id)
      case ("loopId", id: Long) if name == "UnionLoopRef" => LoopId(id)
      case (field, value) if !left(field) => value
    }
  }

  def field(plan: LogicalPlan, name: String): Option[Any] =
    plan.productElementNames.zip(plan.productIterator).collectFirst { case (`name`, value) => value }
}
