package io.dlcache.key

import io.dlcache.spark.SparkClasses
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeSet}
import org.apache.spark.sql.catalyst.plans.logical.{LateralJoin, LogicalPlan}

/** The plan operators that are known, by class, and how each counts. */
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

  /** The operator's rows are its child's. */
  case object Transparent extends Kind

  private val Logical = "org.apache.spark.sql.catalyst.plans.logical."

  /** The body of a SQL function, which Spark has in two packages. */
  private val SqlFunctionNodes =
    Set(Logical + "SQLFunctionNode", "org.apache.spark.sql.catalyst.analysis.SQLFunctionNode")

  private val transparent: Set[String] =
    Set("SubqueryAlias", "View", "ResolvedHint", "CollectMetrics", "ReturnAnswer", "LimitAll")

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

  /** The names of all operators that are known. */
  val Names: Set[String] = transparent ++ relational ++ typed ++ python

  /** Operators whose function gets the rows of a partition. What a function of Python gets, its expression says. */
  private val partitioned: Set[String] = Set("MapPartitions", "MapPartitionsInR", "MapPartitionsInRWithArrow")

  /** Fields that say how, not what, by operator. */
  private val unimportant: Map[String, Set[String]] = Map("Range" -> Set("numSlices", "output"))

  def nameOf(plan: LogicalPlan): String = plan.getClass.getSimpleName

  def kindOf(plan: LogicalPlan): Kind = {
    val name = nameOf(plan)
    val className = plan.getClass.getName
    if (!SparkClasses.isSparks(plan.getClass)) Unknown
    else if (SqlFunctionNodes(className)) Transparent
    else if (className != Logical + name) Unknown
    else if (transparent(name)) Transparent
    else if (relational(name)) Relational
    else if (typed(name)) Typed
    else if (python(name)) Python
    else Unknown
  }

  def seesPartitions(plan: LogicalPlan): Boolean = partitioned(nameOf(plan))

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

  /** The columns that the operator's expressions can refer to: its children's, and those of a lateral join's right side. */
  def inputsOf(plan: LogicalPlan): Seq[Attribute] = plan match {
    case join: LateralJoin => join.left.output ++ join.right.plan.output
    case _ => plan.children.flatMap(_.output)
  }

  /** The columns that the operator makes itself and holds as fields, such as the output of a generator, in order. */
  def declaredBy(plan: LogicalPlan): Seq[Attribute] = {
    val made = plan.outputSet -- AttributeSet(inputsOf(plan))
    def attributes(value: Any): Iterator[Attribute] = value match {
      case column: Attribute => Iterator(column).filter(made.contains)
      case values: Iterable[_] => values.iterator.flatMap(attributes)
      case Some(value) => attributes(value)
      case _ => Iterator.empty
    }
    plan.productIterator.flatMap(attributes).toSeq.distinctBy(_.exprId)
  }

  def field(plan: LogicalPlan, name: String): Option[Any] =
    plan.productElementNames.zip(plan.productIterator).collectFirst { case (`name`, value) => value }
}
