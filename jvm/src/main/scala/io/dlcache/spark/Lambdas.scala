package io.dlcache.spark

import java.lang.invoke.SerializedLambda

import scala.util.Try

/** What the JVM writes when it serializes a lambda: where its code is, and what it captures. */
private[dlcache] object Lambdas {

  /** None if `function` is no lambda, or one that cannot be serialized. */
  def serialized(function: AnyRef): Option[SerializedLambda] =
    if (!function.getClass.isHidden) None
    else
      Try {
        val replace = function.getClass.getDeclaredMethod("writeReplace")
        replace.setAccessible(true)
        replace.invoke(function)
      }.toOption.collect { case lambda: SerializedLambda => lambda }

  def captured(lambda: SerializedLambda): Seq[AnyRef] =
    (0 until lambda.getCapturedArgCount).map(lambda.getCapturedArg(_))
}
