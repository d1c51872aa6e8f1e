package io.dlcache.key

import org.apache.spark.sql.KeyTestAccess
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.catalyst.expressions.{Attribute, Expression, Literal, UnaryExpression}
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, UnaryNode}
import org.apache.spark.sql.types.{DataType, LongType}

/** The encoding fails closed: what it does not know makes a session key. */
class UnknownPlanSuite extends KeySuite {

  private def plan: LogicalPlan = spark.range(3).toDF().queryExecution.analyzed

  test("an unknown operator") {
    def key(note: String) = keyOf(KeyTestAccess.dataFrame(spark, ForeignOperator(note, plan)))
    assert(key("a").scope == PlanKey.Session)
    assert(reasons(key("a")) == Seq("the plan operator io.dlcache.key.ForeignOperator is not known to dlcache"))
    assert(key("a").digest == key("a").digest)
    assert(key("a").digest != key("b").digest)
  }

  test("an unknown expression, and an unknown value in it") {
    val secret = new Object
    def key(state: AnyRef) = {
      val data = spark.range(3).toDF()
      val expression = ForeignExpression(state, data.queryExecution.analyzed.output.head)
      keyOf(data.filter(KeyTestAccess.column(expression) > 0L))
    }
    assert(key(secret).scope == PlanKey.Session)
    assert(
      reasons(key(secret)) == Seq(
        "the expression io.dlcache.key.ForeignExpression is not known to dlcache",
        "foreignexpression holds a java.lang.Object, which is not known to dlcache"
      )
    )
    assert(key(secret).digest == key(secret).digest)
    assert(key(secret).digest != key(new Object).digest)
  }

  test("a literal of an unknown kind") {
    val encoder = new PlanEncoder
    val literal = Literal.create(new Object, org.apache.spark.sql.types.ObjectType(classOf[Object]))
    val values = new ValueEncoder(encoder)
    Digest(values.write(_, literal, ValueEncoder.Context(Scope.empty, None, "test")))
    assert(encoder.reasons.map(_.code) == Seq("unknown-value"))
  }
}

case class ForeignOperator(note: String, child: LogicalPlan) extends UnaryNode {
  override def output: Seq[Attribute] = child.output
  override protected def withNewChildInternal(newChild: LogicalPlan): LogicalPlan = copy(child = newChild)
}

case class ForeignExpression(state: AnyRef, child: Expression) extends UnaryExpression with CodegenFallback {
  override def dataType: DataType = LongType
  override def eval(input: InternalRow): Any = 1L
  override protected def withNewChildInternal(newChild: Expression): Expression = copy(child = newChild)
}
