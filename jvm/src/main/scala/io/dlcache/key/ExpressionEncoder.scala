package io.dlcache.key

import scala.util.Try

import io.dlcache.key.ValueEncoder.Context
import org.apache.spark.{SPARK_REVISION, SPARK_VERSION}
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.types._

/** The expression half of [[PlanEncoder]]. */
final private[key] class ExpressionEncoder(plans: PlanEncoder, values: ValueEncoder) {

  private val SparkExpressions = "org.apache.spark.sql.catalyst.expressions."

  /** What Spark makes its own, but not what it is made of. */
  private val PartitionFunctions = Set(
    "InputFileBlockLength",
    "InputFileBlockStart",
    "InputFileName",
    "MonotonicallyIncreasingID",
    "SparkPartitionID"
  ).map(SparkExpressions + _)

  /** The method that `aes_encrypt` calls. */
  private val AesEncryption = "aesEncrypt"

  /** The option of `from_xml` that names a file. */
  private val SchemaFile = "rowValidationXSDPath"

  /** Python functions that get one row (100, 101), or all rows of a group or window, by Spark's `PythonEvalType`. Others
    * get the rows of a batch or partition.
    */
  private val RowsOrGroups = Set(100, 101, 201, 202, 203, 206, 209, 210, 252, 253)

  /** Functions of Hive, and of Spark's API for aggregates over objects. */
  private val HiveFunctions = "org.apache.spark.sql.hive."
  private val ScalaAggregates = "org.apache.spark.sql.execution.aggregate."

  def encode(expression: Expression, context: Context): Digest = expression match {
    case alias: Alias => encode(alias.child, context)
    case cast: Cast if cast.child.dataType == cast.dataType => encode(cast.child, context)
    case _ =>
      plans.currentValue(expression) match {
        case Some(value) => Digest(sink => writeLiteral(sink.string("current"), value, context))
        case None =>
          explain(expression, context)
          expression match {
            case wrapper if isSqlFunction(wrapper) => encode(wrapper.children.last, context)
            case replaced: RuntimeReplaceable => encode(replaced.replacement, context)
            case _ => Digest(sink => write(sink, expression, context))
          }
      }
  }

  private def isSqlFunction(expression: Expression): Boolean =
    expression.getClass.getName == "org.apache.spark.sql.catalyst.analysis.SQLScalarFunction"

  private def write(sink: DigestSink, expression: Expression, context: Context): Unit = expression match {
    case column: AttributeReference => writeColumn(sink, column, context)
    case outer if isOuterReference(outer) => writeOuter(sink, outer, context)
    case variable: NamedLambdaVariable => writeVariable(sink, variable, context)
    case lambda: LambdaFunction =>
      val inner = context.withLambda(lambda.arguments.map(_.exprId))
      sink.string("lambda").long('n', lambda.arguments.length.toLong)
      lambda.arguments.foreach(argument => sink.string(argument.dataType.json))
      sink.part(encode(lambda.function, inner))
    case shared: With =>
      val inner = context.withCommon(shared.defs.map(common => common.id -> encode(common.child, context)))
      sink.string("with").part(encode(shared.child, inner))
    case common: CommonExpressionRef if context.common.contains(common.id) =>
      sink.string("common").part(context.common(common.id))
    case common: CommonExpressionRef => writeUnresolved(sink, "common", common.id, "common expression", context)
    case subquery: PlanExpression[_] => writeSubquery(sink, subquery, context)
    case literal: Literal => writeLiteral(sink, literal, context)
    case version: SparkVersion => sink.string(version.getClass.getName).string(SPARK_VERSION).string(SPARK_REVISION)
    case field: GetStructField =>
      sink.string("field").long('i', field.ordinal.toLong).part(encode(field.child, context))
    case variable: VariableReference => sink.part(encode(variable.varDef.currentValue, context))
    case udf: ScalaUDF =>
      sink.string("scala-udf").string(udf.dataType.json)
      MLlibFunctions.digestOf(udf.function) match {
        case Some(function) => writeMLlibs(sink.part(function), udf)
        case None => sink.long('o', ObjectIdentity.of(udf.function))
      }
      udf.children.foreach {
        case struct: CreateNamedStruct if MLlibFunctions.isAssembler(udf.function) =>
          struct.valExprs.foreach(value => sink.part(encode(value, context)))
        case child => sink.part(encode(child, context))
      }
    case and: And => writeSorted(sink, "and", operandsOf(and) { case And(left, right) => Seq(left, right) }, context)
    case or: Or => writeSorted(sink, "or", operandsOf(or) { case Or(left, right) => Seq(left, right) }, context)
    case in: In if in.list.forall(_.deterministic) =>
      sink.string("in").part(encode(in.value, context))
      in.list.map(encode(_, context)).distinct.sorted.foreach(sink.part)
    case GreaterThan(left, right) => writeFields(sink, LessThan(right, left), context)
    case GreaterThanOrEqual(left, right) => writeFields(sink, LessThanOrEqual(right, left), context)
    case symmetric @ (_: EqualTo | _: EqualNullSafe | _: Add | _: Multiply | _: BitwiseAnd | _: BitwiseOr |
        _: BitwiseXor) =>
      val operands = symmetric.children
      writeSorted(sink, symmetric.getClass.getName, operands, context)
      symmetric.productIterator.filterNot(isOneOf(operands)).foreach(values.write(sink, _, context))
    case _ => writeFields(sink, expression, context)
  }

  /** How the values of the columns become the function's arguments, and its result a column. */
  private def writeMLlibs(sink: DigestSink, udf: ScalaUDF): Unit = {
    sink.string(s"${udf.nullable} ${udf.udfDeterministic}")
    (udf.inputEncoders :+ udf.outputEncoder).foreach {
      case Some(encoder) => sink.string(encoder.clsTag.runtimeClass.getName).string(CanonicalJson(encoder.schema.json))
      case None => sink.tag('N')
    }
  }

  private def writeFields(sink: DigestSink, expression: Expression, context: Context): Unit = {
    sink.string(expression.getClass.getName)
    val inner = context.inside(expression.prettyName)
    expression.productElementNames.zip(expression.productIterator).foreach {
      // For the analyzer, which has checked them.
      case ("inputTypes", _) => ()
      case (_, value) => values.write(sink, value, inner)
    }
  }

  /** The fields beside the plan can refer to its columns: the columns of `IN`, the order of a table argument. */
  private def writeSubquery(sink: DigestSink, subquery: PlanExpression[_], context: Context): Unit = {
    sink.string(subquery.getClass.getName)
    val output = subquery.plan match {
      case plan: LogicalPlan => plan.output
      case _ => Nil
    }
    val inner = context.copy(scope = context.scope.withDeclared(output)).inside(subquery.prettyName)
    subquery.productIterator.foreach {
      case plan: LogicalPlan => values.write(sink, plan, context)
      case value => values.write(sink, value, inner)
    }
  }

  /** Operands that may change places: their values do not change with it, not even the rounding of a sum of two. Longer
    * sums are not flattened, since floats do not add up the same in another order. Operands that draw random numbers
    * stay where they are: short-circuits decide how often they are asked.
    */
  private def writeSorted(sink: DigestSink, name: String, operands: Seq[Expression], context: Context): Unit = {
    val digests = operands.map(encode(_, context))
    sink.string(name).long('n', digests.length.toLong)
    (if (operands.forall(_.deterministic)) digests.sorted else digests).foreach(sink.part)
  }

  private def operandsOf(root: Expression)(split: PartialFunction[Expression, Seq[Expression]]): Seq[Expression] = {
    val operands = Seq.newBuilder[Expression]
    var open = List(root)
    while (open.nonEmpty) {
      val next = open.head
      open = open.tail
      if (split.isDefinedAt(next)) open = split(next).toList ++ open else operands += next
    }
    operands.result()
  }

  private def isOneOf(operands: Seq[Expression])(value: Any): Boolean = value match {
    case expression: Expression => operands.exists(_ eq expression)
    case _ => false
  }

  private def writeColumn(sink: DigestSink, column: AttributeReference, context: Context): Unit =
    context.scope.inputOf(column.exprId) match {
      case Some(ordinal) => sink.long('c', ordinal.toLong)
      case None =>
        context.scope.declaredOf(column.exprId) match {
          case Some(ordinal) => sink.long('p', ordinal.toLong).string(values.nameOf(column.dataType))
          case None => writeUnresolved(sink, "column", column.exprId, column.name, context)
        }
    }

  /** What does not resolve counts by its number, which is new in each analysis. */
  private def writeUnresolved(sink: DigestSink, kind: String, id: Any, name: String, context: Context): Unit = {
    plans.because(Reason.unresolved(context.owner, name))
    sink.string("unresolved").string(kind).string(id.toString)
  }

  /** `OuterScopeReference` came after Spark 4.0. */
  private def isOuterReference(expression: Expression): Boolean = {
    val name = expression.getClass.getName
    name == SparkExpressions + "OuterReference" || name == SparkExpressions + "OuterScopeReference"
  }

  private def writeOuter(sink: DigestSink, reference: Expression, context: Context): Unit =
    reference.productElement(0) match {
      case outer: Expression if isOuterReference(outer) => writeOuter(sink, outer, context)
      case column: NamedExpression =>
        val found = context.scope.chain.zipWithIndex.drop(1).flatMap { case (scope, depth) =>
          scope.inputOf(column.exprId).map(ordinal => (depth, ordinal))
        }
        found.nextOption() match {
          case Some((depth, ordinal)) => sink.string("outer").long('i', depth.toLong).long('c', ordinal.toLong)
          case None => writeUnresolved(sink, "outer", column.exprId, column.name, context)
        }
      case other => values.write(sink, other, context)
    }

  private def writeVariable(sink: DigestSink, variable: NamedLambdaVariable, context: Context): Unit = {
    val depth = context.lambdas.indexWhere(_.contains(variable.exprId))
    if (depth < 0) writeUnresolved(sink, "variable", variable.exprId, variable.name, context)
    else
      sink.string("variable").long('i', depth.toLong).long('i', context.lambdas(depth).indexOf(variable.exprId).toLong)
  }

  private def writeLiteral(sink: DigestSink, literal: Literal, context: Context): Unit =
    literal.dataType match {
      case objects: ObjectType =>
        sink.string("object").string(objects.cls.getName)
        values.write(sink, literal.value, context)
      case dataType =>
        sink.string("literal").string(CanonicalJson(dataType.json))
        RowEncoder.write(sink, literal.value, dataType).foreach { kind =>
          plans.because(Reason.unknownValue("a literal", kind))
        }
    }

  /** Records why `expression` itself, not its children, has no durable value. */
  private def explain(expression: Expression, context: Context): Unit = {
    val name = expression.prettyName
    val kind = expression.getClass.getName
    expression match {
      case udf: ScalaUDF =>
        if (MLlibFunctions.digestOf(udf.function).isEmpty)
          plans.because(Reason.scalaUdf(udf.udfName.getOrElse("(anonymous)")))
      case function: PythonFuncExpression =>
        plans.functions.explain(function)
        if (seesBatches(function)) plans.becauseOfPartitions(s"the Python function `${function.name}` over batches")
      case seeded: ExpressionWithRandomSeed =>
        plans.dependOnSequence(s"$name()", context.operator)
        if (!hasChosenSeed(seeded)) plans.because(Reason.unseeded(s"$name()"))
      case invoke: StaticInvoke if invoke.functionName == AesEncryption && drawsVector(invoke.arguments) =>
        plans.becauseTraceless(Reason.nondeterministic("aes_encrypt() without an initialization vector"))
      case _ if PartitionFunctions(kind) => plans.becauseOfPartitions(s"$name()")
      case xml: XmlToStructs if xml.options.keys.exists(_.equalsIgnoreCase(SchemaFile)) =>
        plans.becauseTraceless(Reason.unversioned(s"the file of $name()'s option $SchemaFile"))
      case _ => ()
    }
    if (isUnpredictable(expression)) plans.becauseTraceless(Reason.nondeterministic(s"$name()"))
    if (!KnownExpressions.contains(expression.getClass)) {
      if (kind.startsWith(HiveFunctions)) plans.because(Reason.hiveUdf(name))
      else if (kind.startsWith(ScalaAggregates)) plans.because(Reason.scalaUdf(name))
      else plans.because(Reason.unknownNode(s"the expression $kind"))
    }
  }

  /** Whether the expression itself, not its children, gives other values for the same rows in the same partitions. What
    * users' functions declare says nothing: all of MLlib's are declared nondeterministic, so that they run once.
    */
  private def isUnpredictable(expression: Expression): Boolean = expression match {
    case _: ExpressionWithRandomSeed | _: ScalaUDF | _: PythonFuncExpression | _: PlanExpression[_] => false
    case _ if PartitionFunctions(expression.getClass.getName) => false
    case other => !other.deterministic && other.children.forall(_.deterministic)
  }

  /** `aes_encrypt` draws its initialization vector at random unless it is given, or the mode has none. Spark declares it
    * deterministic all the same.
    */
  private def drawsVector(arguments: Seq[Expression]): Boolean = arguments match {
    case Seq(_, _, mode, _, vector, _*) =>
      val hasNone = constant(mode).exists(_.toString.equalsIgnoreCase("ECB"))
      val isGiven = constant(vector).exists { case bytes: Array[Byte] => bytes.nonEmpty; case _ => false }
      !hasNone && !isGiven
    case _ => true
  }

  private def constant(expression: Expression): Option[Any] =
    if (expression.foldable) Try(expression.eval()).toOption.flatMap(Option(_)) else None

  private def seesBatches(function: PythonFuncExpression): Boolean =
    !function.productElementNames.zip(function.productIterator).exists {
      case ("evalType", evalType: Int) => RowsOrGroups(evalType)
      case _ => false
    }

  private def hasChosenSeed(expression: ExpressionWithRandomSeed): Boolean = {
    val hidden = expression.productElementNames.zip(expression.productIterator).contains(("hideSeed", true))
    !hidden && constant(expression.seedExpression).exists(RandomSequences.isChosen)
  }
}
