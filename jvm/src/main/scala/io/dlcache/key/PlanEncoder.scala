package io.dlcache.key

import scala.annotation.tailrec
import scala.collection.mutable

import io.dlcache.spark.{FileBlocks, PlanLeaf}
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** Encodes a resolved plan into a digest that is equal wherever the plan means the same, in any JVM.
  *
  * The plan is a tree of digests: a node's covers its class, its fields and its children's. What does not change the
  * rows is left out (names of columns, aliases, views, hints, metrics), column references are positions in the
  * inputs of their operator or in what it declares, and operands whose order does not matter are sorted by their digests.
  * Spark's own canonical form is not used: it sorts by `hashCode`, which is not the same in two JVMs, and reorders sums of
  * floats.
  *
  * The encoding is closed: a plan operator outside [[PlanNodes]], an expression outside [[KnownExpressions]], a value that
  * is not known, or a reference that does not resolve is recorded as a reason why the key holds only within its
  * application. Such a thing is then told from others by its identity.
  *
  * One encoder encodes one plan.
  *
  * @param current gives the values of functions of the moment and of the session
  * @param isAsNow whether the settings that count in a session that planned persisted rows are those of now; a session
  *   that may have changed since is not
  */
final private[key] class PlanEncoder(
    localBytes: Long = InputState.LocalBytes,
    current: CurrentValues = new CurrentValues(Nil),
    python: PythonSources = PythonSources.none,
    isPersisted: Boolean = false,
    isAsNow: SparkSession => Boolean = _ => false
) {
  private val foundReasons = mutable.LinkedHashSet.empty[Reason]
  private val foundInputs = mutable.LinkedHashMap.empty[Digest, InputState]
  private val foundLayout = mutable.ArrayBuffer.empty[() => String]
  private val commonTables = mutable.Map.empty[Long, (LogicalPlan, Digest)]
  private var loops: List[Long] = Nil
  private var spread: PhysicalLayout = PhysicalLayout.Irrelevant
  private var traceless = false
  private var instant = false

  private val values = new ValueEncoder(this)

  /** The Python functions in the plan. */
  private[key] val functions = new PythonFunctionEncoder(this, python, isPersisted)

  /** Why the key is not durable; empty if it is. */
  def reasons: Seq[Reason] = foundReasons.toSeq

  /** What the plan reads, each once. */
  def inputs: Seq[InputState] = foundInputs.values.toSeq

  /** What of the spread of rows over partitions the rows depend on. */
  def dependsOn: PhysicalLayout = spread

  /** What in the plan decides how rows are spread over partitions and nothing else. */
  def layout: Seq[String] = foundLayout.map(_()).toSeq.sorted

  /** Whether an equal digest means equal rows. If not, something in the plan changes without a trace. */
  def isRepeatable: Boolean = !traceless && !instant

  /** Whether a Python function takes part. */
  def usesPython: Boolean = functions.areUsed

  def encode(plan: LogicalPlan): Digest = {
    if (FileBlocks.areReadBy(plan)) becauseOfPartitions("the part of a file that a row comes from")
    encode(plan, None)
  }

  private[key] def because(reason: Reason): Unit = foundReasons += reason

  /** Something in the plan can have other rows or values each time. */
  private[key] def becauseTraceless(reason: Reason): Unit = {
    traceless = true
    because(reason)
  }

  private[key] def becauseOfPartitions(what: String): Unit = {
    spread = PhysicalLayout.OfPlan
    because(Reason.partitioning(what))
  }

  /** A sequence of random numbers, which begins anew in each partition.
    *
    * @param operator that holds it, if it is no part of a subquery
    */
  private[key] def dependOnSequence(what: String, operator: Option[LogicalPlan]): Unit =
    if (!operator.exists(RandomSequences.followFromSource(_, id => commonTables.get(id).map(_._1))))
      becauseOfPartitions(s"$what over other operators than projections and filters of one source")
    else if (spread == PhysicalLayout.Irrelevant) spread = PhysicalLayout.OfSource

  /** The value of `expression`, if it is one of the moment or of the session that lasts. */
  private[key] def currentValue(expression: Expression): Option[Literal] = current.of(expression).flatMap {
    case CurrentValues.Lasting(literal) =>
      val state = InputState.current(expression.sql, literal.sql)
      foundInputs.getOrElseUpdate(state.digest, state)
      Some(literal)
    case CurrentValues.Instant(ofTheClock) =>
      instant = true
      val name = s"${expression.prettyName}()"
      because(if (ofTheClock) Reason.clock(name) else Reason.sessionState(name))
      None
  }

  /** @param outer the columns that a subquery's outer references are positions in */
  private[key] def encode(plan: LogicalPlan, outer: Option[Scope]): Digest = plan match {
    case node if PlanNodes.kindOf(node) == PlanNodes.Transparent => encode(node.children.head, outer)
    case project: Project if isIdentity(project) => encode(project.child, outer)
    case WithCTE(main, definitions) =>
      definitions.foreach { definition =>
        commonTables(definition.id) = (definition.child, encode(definition.child, outer))
      }
      encode(main, outer)
    case reference: CTERelationRef =>
      commonTables.get(reference.cteId).filter(table => fits(reference, table._1)).fold(node(reference, outer))(_._2)
    case _ =>
      PlanLeaf.of(plan) match {
        case Some(leaf) => encodeLeaf(plan, leaf)
        case None => node(plan, outer)
      }
  }

  /** Whether the reference gives the columns of the common table, in their order. */
  private def fits(reference: CTERelationRef, table: LogicalPlan): Boolean =
    reference.output.map(_.dataType) == table.output.map(_.dataType)

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
      case range: Range => foundLayout += (() => s"range ${range.numSlices.getOrElse("")}")
      case sample: Sample => checkSample(sample, outer)
      case _ => ()
    }
    val kind = PlanNodes.kindOf(plan)
    kind match {
      case PlanNodes.Relational | PlanNodes.Transparent | PlanNodes.Python => ()
      case PlanNodes.Typed => because(Reason.typedLambda(name))
      case PlanNodes.Unknown =>
        val reason = Reason.unknownNode(s"the plan operator ${plan.getClass.getName}")
        if (plan.children.isEmpty) becauseTraceless(reason) else because(reason)
    }
    if (PlanNodes.seesPartitions(plan)) becauseOfPartitions(name)
    val scope = new Scope(PlanNodes.inputsOf(plan), PlanNodes.declaredBy(plan), outer)
    val context = ValueEncoder.Context(
      scope,
      planOuter = outer,
      owner = name,
      operator = Option.when(outer.isEmpty)(plan),
      explained = kind == PlanNodes.Typed
    )
    val loop = PlanNodes.loopOf(plan)
    loops = loop.toList ++ loops
    try
      Digest { sink =>
        sink.string(plan.getClass.getName)
        // Functions that get whole rows see the names of their columns.
        if (kind != PlanNodes.Relational)
          plan.children.foreach(child => sink.string(CanonicalJson(child.schema.json)))
        PlanNodes.fieldsOf(plan).foreach {
          case PlanNodes.LoopId(id) => writeLoop(sink, id, name)
          case value => values.write(sink, value, context)
        }
      }
    finally loops = loops.drop(loop.size)
  }

  private def writeLoop(sink: DigestSink, id: Long, operator: String): Unit = loops.indexOf(id) match {
    case -1 =>
      because(Reason.unresolved(operator, s"loop $id"))
      sink.long('u', id)
    case depth => sink.long('L', depth.toLong)
  }

  /** A sample's seed is a number up to Spark 4.0 and optional later. */
  private def checkSample(plan: Sample, outer: Option[Scope]): Unit = {
    dependOnSequence("sample", Option.when(outer.isEmpty)(plan))
    val seed = PlanNodes.field(plan, "seed") match {
      case Some(seed: Option[_]) => seed
      case other => other
    }
    if (!seed.exists(RandomSequences.isChosen)) because(Reason.unseeded("sample"))
  }

  private def encodeLeaf(plan: LogicalPlan, leaf: PlanLeaf): Digest = leaf match {
    case persisted: PlanLeaf.Persisted => encodePersisted(persisted)
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

  /** A persisted plan was resolved on its own: its common table expressions and loops have numbers of their own. What it
    * has from the clock, the session or the partitions was fixed when its rows were made, which may be long ago.
    */
  private def encodePersisted(persisted: PlanLeaf.Persisted): Digest = {
    val inner = new PlanEncoder(localBytes, current, python, isPersisted = true, isAsNow)
    val digest = inner.encode(persisted.lineage)
    foundReasons ++= inner.reasons
    functions.include(inner.functions)
    traceless ||= inner.traceless
    val (moments, states) = inner.inputs.partition(_.isInstanceOf[InputState.Current])
    states.foreach(state => foundInputs.getOrElseUpdate(state.digest, state))
    val isOfOtherSettings = !persisted.planned.exists(isAsNow)
    val isOfThen =
      inner.instant || moments.nonEmpty || inner.spread != PhysicalLayout.Irrelevant || isOfOtherSettings
    if (isOfOtherSettings) because(Reason.persistedSettings)
    if (inner.instant || moments.nonEmpty) because(Reason.persistedClock)
    if (inner.spread == PhysicalLayout.OfSource) because(Reason.partitioning("persisted randomness"))
    if (isOfThen) Digest(_.part(digest).long('o', ObjectIdentity.of(persisted.identity))) else digest
  }

  private def stateOf(plan: LogicalPlan, leaf: PlanLeaf): InputState = leaf match {
    case files: PlanLeaf.Files =>
      val state = InputState.files(files)
      foundLayout += (() => s"files ${listingOf(files)}")
      state
    case table: PlanLeaf.VersionedTable =>
      val context = ValueEncoder.Context(Scope.empty, None, table.name)
      InputState.table(table, Digest(sink => table.extra.foreach(values.write(sink, _, context))))
    case rows: PlanLeaf.Rows =>
      def byIdentity(reason: Reason): InputState = {
        because(reason)
        InputState.session("local rows", ObjectIdentity.of(rows.rows))
      }
      InputState.local(rows, plan.output.map(_.dataType), localBytes).fold(byIdentity, identity)
    case list: PlanLeaf.PythonList =>
      foundLayout += (() => s"python list ${list.slices}")
      val content =
        if (python.of(list.content.command).exists(_.isIdentity))
          InputState.python(list, plan.output.map(_.dataType), localBytes).toOption
        else None
      content.getOrElse(stateOf(plan, list.rdd))
    case list: PlanLeaf.ArrowList =>
      foundLayout += (() => s"arrow batches ${list.content.batches.length}")
      InputState.arrow(list, plan.output.map(_.dataType), localBytes).getOrElse(stateOf(plan, list.rdd))
    case PlanLeaf.Distributed(id, description, rddFunctions) =>
      because(Reason.rdd(description))
      val state = InputState.session(s"RDD $description", id.toLong)
      if (rddFunctions.isEmpty) state
      else {
        val context = ValueEncoder.Context(Scope.empty, None, "an RDD")
        state.copy(digest = Digest { sink =>
          sink.part(state.digest)
          rddFunctions.foreach(functions.encode(sink, _, s"RDD $description", values.write(sink, _, context)))
        })
      }
    case PlanLeaf.Unversioned(description, identity) =>
      becauseTraceless(Reason.unversioned(description))
      InputState.session(description, ObjectIdentity.of(identity))
    case _: PlanLeaf.Persisted => throw new IllegalStateException("a persisted plan is encoded as its lineage")
  }

  /** The order in which files are listed decides which of equal size are read together. */
  private def listingOf(files: PlanLeaf.Files): String =
    Digest(sink => files.partitions().foreach(_.files.foreach(file => sink.string(file.path)))).hex
}
