package org.apache.spark.ml.keytest

import org.apache.spark.sql.expressions.UserDefinedFunction
import org.apache.spark.sql.functions.udf

/** A user's code in a package of MLlib's name. */
object Functions {
  def plus(n: Long): UserDefinedFunction = udf((x: Long) => x + n)
}
