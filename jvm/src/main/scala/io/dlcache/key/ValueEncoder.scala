package io.dlcache.key

import java.time.ZoneId

import io.dlcache.key.ValueEncoder.Context
import io.dlcache.spark.{PythonFunctions, SparkClasses}
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.expressions.{CommonExpressionId, ExprId, Expression}
import org.apache.spark.sql.catalyst.plans.logical.{HintInfo, JoinHint, LogicalPlan}
import org.apache.spark.sql.catalyst.util.{ArrayData, MapData}
import org.apache.spark.sql.types._
import org.apache.spark.unsafe.types.{CalendarInterval, UTF8String}

/** Writes the fields of plan operators and expressions: a closed set of kinds of values. */
final private[key] class ValueEncoder(plans: PlanEncoder) {
  private val expressions = new ExpressionEncoder(plans, this)

  def write(sink: DigestSink, value: Any, context: Context): Unit = value match {
    case expression: Expression => sink.part(expressions.encode(expression, context.inExpression))
    case plan: LogicalPlan => sink.part(plans.encode(plan, context.planOuter))
    case _: ExprId | _: HintInfo | _: JoinHint => sink.tag('_')
    case dataType: DataType => sink.string(nameOf(dataType))
    case field: StructField => sink.string(CanonicalJson(StructType(Seq(field)).json))
    case metadata: Metadata => sink.string(CanonicalJson(metadata.json))
    case None => sink.tag('N')
    case Some(inner) => write(sink.tag('S'), inner, context)
    case seq: scala.collection.Seq[_] => writeAll(sink, 'q', seq, context)
    case set: scala.collection.Set[_] => writeUnordered(sink, 'u', set, context)
    case map: scala.collection.Map[_, _] => writeUnordered(sink, 'm', map, context)
    case map: java.util.Map[_, _] =>
      writeUnordered(sink, 'm', scala.jdk.CollectionConverters.MapHasAsScala(map).asScala, context)
    case text: String => sink.string(text)
    case char: Char => sink.long('C', char.toLong)
    case number: BigInt => sink.bytes('B', number.toByteArray)
    case number: java.math.BigDecimal =>
      sink.bytes('D', number.unscaledValue.toByteArray).long('i', number.scale.toLong)
    case number: BigDecimal => write(sink, number.bigDecimal, context)
    case zone: ZoneId => sink.string(zone.getId)
    case constant: Enumeration#Value => sink.string(constant.getClass.getName).string(constant.toString)
    case constant: java.lang.Enum[_] => sink.string(constant.getDeclaringClass.getName).string(constant.name)
    // Not a class that a user wrote, whose code may change under its name.
    case kind: Class[_] if SparkClasses.isPlatform(kind) => sink.string(kind.getName)
    case _: ArrayData | _: MapData => unknown(sink, value, context)
    case null | _: Boolean | _: Byte | _: Short | _: Int | _: Long | _: Float | _: Double | _: UTF8String |
        _: Array[Byte] | _: Decimal | _: CalendarInterval =>
      RowEncoder.write(sink, value, NullType).foreach(_ => unknown(sink, value, context))
    case array: Array[_] => writeAll(sink, 'q', array.toSeq, context)
    case rdd: RDD[_] =>
      plans.because(Reason.rdd(rdd.toString))
      sink.long('R', rdd.id.toLong)
    case broadcast: Broadcast[_] => sink.long('R', broadcast.id)
    case function: Product if PythonFunctions.isFunction(function) =>
      plans.functions.encode(sink, function, context.owner, write(sink, _, context))
    case product: Product if KnownValues.contains(product.getClass) =>
      sink.string(product.getClass.getName)
      writeAll(sink, 'p', product.productIterator.toSeq, context)
    case other => unknown(sink, other, context)
  }

  private def writeAll(sink: DigestSink, kind: Char, values: scala.collection.Seq[Any], context: Context): Unit = {
    sink.long(kind, values.length.toLong)
    values.foreach(write(sink, _, context))
  }

  private def writeUnordered(sink: DigestSink, kind: Char, values: Iterable[Any], context: Context): Unit = {
    val digests = values.iterator.map(value => Digest(write(_, value, context))).toSeq.sorted
    sink.long(kind, digests.length.toLong)
    digests.foreach(sink.part)
  }

  def nameOf(dataType: DataType): String = dataType match {
    case objects: ObjectType => s"object ${objects.cls.getName}"
    case other => CanonicalJson(other.json)
  }

  private def unknown(sink: DigestSink, value: Any, context: Context): Unit = {
    if (!context.explained) plans.because(Reason.unknownValue(context.owner, value.getClass.getName))
    sink.long('o', ObjectIdentity.of(value.asInstanceOf[AnyRef]))
  }
}

private[key] object ValueEncoder {

  /** Where a value stands.
    *
    * @param scope the columns that expressions refer to
    * @param planOuter what a plan that is met here sees as its outer scope: a child's is its parent's, a subquery's is `scope`
    * @param owner the operator or function, for messages
    * @param operator the operator around, if it is no part of a subquery
    * @param lambdas the variables of the lambda functions around, innermost first
    * @param common expressions that are computed once and used several times
    * @param explained whether there is a reason already why what is met here is not durable
    */
  final case class Context(
      scope: Scope,
      planOuter: Option[Scope],
      owner: String,
      operator: Option[LogicalPlan] = None,
      lambdas: List[Seq[ExprId]] = Nil,
      common: Map[CommonExpressionId, Digest] = Map.empty,
      explained: Boolean = false
  ) {
    def inExpression: Context = copy(planOuter = Some(scope))
    def inside(name: String): Context = copy(owner = name)
    def withCommon(definitions: Seq[(CommonExpressionId, Digest)]): Context = copy(common = common ++ definitions)
    def withLambda(variables: Seq[ExprId]): Context = copy(lambdas = variables :: lambdas)
  }
}
