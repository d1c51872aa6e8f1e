package org.apache.spark.sql.catalyst

import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.types.DataType

package expressions {

  /** A third party's expression in Spark's package. */
  case class Upper2(child: Expression) extends UnaryExpression with CodegenFallback {
    override def dataType: DataType = child.dataType
    override def eval(input: InternalRow): Any = child.eval(input)
    override protected def withNewChildInternal(newChild: Expression): Upper2 = copy(child = newChild)
  }
}

package plans.logical {

  /** A third party's operator in Spark's package. */
  case class LimitNothing(child: LogicalPlan) extends UnaryNode {
    override def output: Seq[org.apache.spark.sql.catalyst.expressions.Attribute] = child.output
    override protected def withNewChildInternal(newChild: LogicalPlan): LimitNothing = copy(child = newChild)
  }
}
