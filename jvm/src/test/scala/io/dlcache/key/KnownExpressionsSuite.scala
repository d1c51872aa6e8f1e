package io.dlcache.key

import org.apache.spark.sql.KeyTestAccess
import org.apache.spark.sql.catalyst.analysis.FunctionRegistry
import org.apache.spark.sql.catalyst.expressions.{Attribute, Expression, Upper2}
import org.apache.spark.sql.catalyst.plans.logical.{LimitNothing, LogicalPlan, UnaryNode}

/** Every built-in function is known to the encoder by its class, or listed here with the reason why it is not. */
class KnownExpressionsSuite extends KeySuite {

  /** Their keys hold in their session only. */
  private val unknown = Map(
    "BloomFilterAggregate" -> "of the optimizer's runtime filters only",
    "BloomFilterMightContain" -> "of the optimizer's runtime filters only",
    "FromAvro" -> "its code is in the package spark-avro, which may be of another version",
    "FromProtobuf" -> "its code is in the package spark-protobuf, which may be of another version",
    "Measure" -> "belongs to metric views, which analysis resolves",
    "SchemaOfAvro" -> "its code is in the package spark-avro, which may be of another version",
    "ToAvro" -> "its code is in the package spark-avro, which may be of another version",
    "ToProtobuf" -> "its code is in the package spark-protobuf, which may be of another version"
  )

  test("built-in functions") {
    val classes = FunctionRegistry.expressions.values.map(_._1.getClassName).toSet ++
      FunctionRegistry.functionSet.flatMap(FunctionRegistry.builtin.lookupFunction(_)).map(_.getClassName)
    val expressions = classes.toSeq.map(Class.forName).filter(classOf[Expression].isAssignableFrom)
    assert(expressions.length > 300)
    val missing =
      expressions.filterNot(KnownExpressions.contains).filterNot(kind => unknown.contains(kind.getSimpleName))
    assert(missing.isEmpty, missing.map(_.getName).sorted.mkString("\n", "\n", "\n"))
  }

  test("a class in Spark's package that is not in Spark's jar is not known") {
    assert(!KnownExpressions.contains(classOf[Upper2]))
    val data = spark.range(3).toDF()
    val upper = Upper2(data.queryExecution.analyzed.output.head)
    assert(sessionBecause(data.select(KeyTestAccess.column(upper))) == Set("unknown-node"))
  }

  test("an operator named as one of Spark's is not taken for it") {
    val plan = spark.range(3).toDF().queryExecution.analyzed
    Seq(ReturnAnswer(1, plan), View(1, plan), LimitNothing(plan)).foreach {
      node => assert(sessionBecause(KeyTestAccess.dataFrame(spark, node)) == Set("unknown-node"))
    }
    val keys = Seq(1, 2).map(rows => digest(KeyTestAccess.dataFrame(spark, View(rows, plan))))
    assert(keys.distinct.length == 2)
  }

  test("a value of a third party's class in Scala's or Spark's package is not known") {
    assert(!KnownValues.contains(classOf[LimitNothing]))
    assert(KnownValues.contains(classOf[(Int, Int)]))
  }
}

case class ReturnAnswer(rows: Int, child: LogicalPlan)
    extends UnaryNode {
  override def output: Seq[Attribute] = child.output
  override protected def withNewChildInternal(newChild: LogicalPlan)
      : ReturnAnswer = copy(child = newChild)
}

case class View(rows: Int, child: LogicalPlan)
    extends UnaryNode {
  override def output: Seq[Attribute] = child.output
  override protected def withNewChildInternal(newChild: LogicalPlan): View =
    copy(child = newChild)
}
