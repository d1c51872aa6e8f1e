package io.dlcache.key

import scala.annotation.tailrec
import scala.collection.mutable

import io.dlcache.spark.PlanLeaf
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Encodes a resolved plan into a digest that is equal wherever the plan means the same, in any JVM.
  *
  * The plan is a tree of digests: a node's covers its class, its fields and its children's. What does not change the
  * rows is left out (names of columns, aliases, views, hints, metrics), column references are positions in the
  * children's output, and operands whose order does not matter are sorted by their digests. Spark's own canonical form
  * is not used: it sorts by `hashCode`, which is not the same in two JVMs, and reorders sums of floats.
  *
  * The encoding is closed: a plan operator outside [[PlanNodes]], an expression outside Spark's own, or a value that is
  * not known is recorded as a reason why the key holds only within its application. Such a thing is then told from
  * others by its identity.
  *
  * One encoder encodes one plan.
  */
final private[key] class PlanEncoder(localBytes: Long = InputState.LocalBytes) {
  private val foundReasons = mutable.LinkedHashSet.empty[Reason]
  private val foundInputs = mutable.LinkedHashMap.empty[Digest, InputState]
  private val foundLayout = mutable.ArrayBuffer.empty[String]
  private val commonTables = mutable.Map.empty[Long, Digest]
  private var loops: List[Long] = Nil
  private var randomness = false

  private val values = new ValueEncoder(this)

  /** Why the key is not durable; empty if it is. */
  def reasons: Seq[Reason] = foundReasons.toSeq

  /** What the plan reads, each once. */
  def inputs: Seq[InputState] = foundInputs.values.toSeq

  /** Whether the rows depend on how they are spread over partitions. */
  def dependsOnLayout: Boolean = randomness

  /** What in the plan decides how rows are spread over partitions and nothing else. */
  def layout: Seq[String] = foundLayout.toSeq.sorted

  def encode(plan: LogicalPlan): Digest = encode(plan, None)

  private[key] def because(reason: Reason): Unit = foundReasons += reason

  private[key] def dependOnLayout(): Unit = randomness = true

  /** @param outer the columns that a subquery's outer references are positions in */
  private[key] def encode(plan: LogicalPlan, outer: Option[Scope]): Digest = plan match {
    case node if PlanNodes.Transparent(PlanNodes.nameOf(node)) => encode(node.children.head, outer)
    case project: Project if isIdentity(project) => encode(project.child, outer)
    case WithCTE(main, definitions) =>
      definitions.foreach(definition => commonTables(definition.id) = encode(definition.child, outer))
      encode(main, outer)
    case reference: CTERelationRef => commonTables.getOrElse(reference.cteId, node(reference, outer))
    case _ =>
      PlanLeaf.of(plan) match {
        case Some(leaf) => encodeLeaf(plan, leaf)
        case None => node(plan, outer)
      }
  }

  /** Whether `project` gives its child's columns in their order, under whatever names. */
  private def isIdentity(project: Project): Boolean = {
    val input = project.child.output
    project.projectList.length == input.length &&
    project.projectList.zip(input).forall { case (column, from) => referenced(column).contains(from.exprId) }
  }

  @tailrec
  private def referenced(expression: Expression): Option[ExprId] = expression match {
    case alias: Alias => referenced(alias.child)
    case cast: Cast if cast.child.dataType == cast.dataType => referenced(cast.child)
    case column: AttributeReference => Some(column.exprId)
    case _ => None
  }

  private def node(plan: LogicalPlan, outer: Option[Scope]): Digest = {
    val name = PlanNodes.nameOf(plan)
    plan match {
      case range: Range => foundLayout += s"range ${range.numSlices.getOrElse("")}"
      case _: Sample => checkSample(plan)
      case _ => ()
    }
    val kind = PlanNodes.kindOf(plan)
    kind match {
      case PlanNodes.Relational => ()
      case PlanNodes.Typed => because(Reason.typedLambda(name))
      case PlanNodes.Python => because(Reason.pythonUdf(pythonFunction(plan)))
      case PlanNodes.Unknown => because(Reason.unknownNode(s"the plan operator ${plan.getClass.getName}"))
    }
    val scope = new Scope(plan.children.flatMap(_.output), outer)
    val context = ValueEncoder.Context(scope, planOuter = outer, owner = name, explained = kind == PlanNodes.Typed)
    val loop = PlanNodes.loopOf(plan)
    loops = loop.toList ++ loops
    try
      Digest { sink =>
        sink.string(plan.getClass.getName)
        // Functions that get whole rows see the names of their columns.
        if (kind != PlanNodes.Relational)
          plan.children.foreach(child => sink.string(CanonicalJson(child.schema.json)))
        PlanNodes.fieldsOf(plan).foreach {
          case PlanNodes.LoopId(id) => sink.long('L', loops.indexOf(id).toLong)
          case value => values.write(sink, value, context)
        }
      }
    finally loops = loops.drop(loop.size)
  }

  private def pythonFunction(plan: LogicalPlan): String =
    plan.expressions.flatMap(_.collect { case function: PythonFuncExpression => function.name }).headOption
      .getOrElse(PlanNodes.nameOf(plan))

  /** A sample's seed is a number up to Spark 4.0 and optional later. */
  private def checkSample(plan: LogicalPlan): Unit = {
    dependOnLayout()
    val seed = PlanNodes.field(plan, "seed") match {
      case Some(seed: Option[_]) => seed
      case other => other
    }
    if (!seed.exists(Seeds.isChosen)) because(Reason.unseeded("sample"))
  }

  private def encodeLeaf(plan: LogicalPlan, leaf: PlanLeaf): Digest = leaf match {
    case PlanLeaf.Persisted(lineage) => alone(encode(lineage, None))
    case _ =>
      val state = stateOf(plan, leaf)
      foundInputs.getOrElseUpdate(state.digest, state)
      Digest { sink =>
        sink.string("input").part(state.digest)
        // Which of the input's columns, in which order: the names are the source's own.
        leaf match {
          case _: PlanLeaf.Rows | _: PlanLeaf.PythonList | _: PlanLeaf.ArrowList => ()
          case _ => plan.output.foreach(column => sink.string(column.name))
        }
      }
  }

  /** A persisted plan was resolved on its own: its common table expressions and loops have numbers of their own. */
  private def alone(body: => Digest): Digest = {
    val (tables, open) = (commonTables.toMap, loops)
    commonTables.clear()
    loops = Nil
    try body
    finally {
      commonTables.clear()
      commonTables ++= tables
      loops = open
    }
  }

  private def stateOf(plan: LogicalPlan, leaf: PlanLeaf): InputState = leaf match {
    case files: PlanLeaf.Files =>
      files.bucketing.foreach(foundLayout += _)
      InputState.files(files)
    case table: PlanLeaf.VersionedTable =>
      val context = ValueEncoder.Context(new Scope(Nil, None), None, table.name)
      InputState.table(table, Digest(sink => table.extra.foreach(values.write(sink, _, context))))
    case rows: PlanLeaf.Rows =>
      def byIdentity(reason: Reason): InputState = {
        because(reason)
        InputState.session("local rows", ObjectIdentity.of(rows.rows))
      }
      InputState.local(rows, plan.output.map(_.dataType), localBytes).fold(byIdentity, identity)
    case list: PlanLeaf.PythonList =>
      foundLayout += s"python list ${list.slices}"
      InputState.python(list, plan.output.map(_.dataType), localBytes).getOrElse(stateOf(plan, list.rdd))
    case list: PlanLeaf.ArrowList =>
      foundLayout += s"arrow batches ${list.content.batches.length}"
      InputState.arrow(list, plan.output.map(_.dataType), localBytes).getOrElse(stateOf(plan, list.rdd))
    case PlanLeaf.Distributed(id, description) =>
      because(Reason.rdd(description))
      InputState.session(s"RDD $description", id.toLong)
    case PlanLeaf.Unversioned(description, identity) =>
      because(Reason.unversioned(description))
      InputState.session(description, ObjectIdentity.of(identity))
    case PlanLeaf.Persisted(_) => throw new IllegalStateException("a persisted plan is encoded as its lineage")
  }
}

/** The columns that a plan node's expressions refer to, by position. */
final private[key] class Scope(input: Seq[Attribute], val outer: Option[Scope]) {
  private lazy val ordinals: Map[ExprId, Int] =
    input.iterator.zipWithIndex.map { case (column, i) => column.exprId -> i }.toSeq.reverse.toMap
  private val produced = mutable.Map.empty[ExprId, Int]

  def ordinalOf(id: ExprId): Option[Int] = ordinals.get(id)

  /** The number of a column that the node itself makes, in order of appearance. */
  def producedOrdinalOf(id: ExprId): Int = produced.getOrElseUpdate(id, produced.size)

  /** This scope and those around it, innermost first. */
  def chain: Iterator[Scope] = Iterator.iterate(Option(this))(_.flatMap(_.outer)).takeWhile(_.isDefined).flatten
}

private[key] object Seeds {

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
