package io.dlcache.spark

import scala.util.Try

import org.apache.spark.{SparkContext, SparkException}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.datasources.LogicalRelation
import org.apache.spark.sql.types.DataType
import org.apache.spark.unsafe.types.UTF8String

/** Which classes are Spark's own. A package is no proof: a third party can put a class into any package of Spark. The jar
  * that a class was loaded from is.
  */
private[dlcache] object SparkClasses {

  private val jars: Set[String] =
    Seq(
      classOf[LogicalPlan],
      classOf[LogicalRelation],
      classOf[DataType],
      classOf[SparkContext],
      classOf[SparkException],
      classOf[UTF8String]
    ).flatMap(jarOf(_)).toSet

  private val scalaLibrary: Option[String] = jarOf(classOf[Option[_]])

  private val known = new ClassValue[java.lang.Boolean] {
    override def computeValue(kind: Class[_]): java.lang.Boolean = jarOf(kind).exists(jars)
  }

  /** Whether `kind` was loaded from one of Spark's jars. */
  def isSparks(kind: Class[_]): Boolean = known.get(kind)

  /** Whether `kind` was loaded from the jar of Spark SQL, or from another of Spark's beside it, such as MLlib's. */
  def isShipped(kind: Class[_]): Boolean = (jarOf(kind), jarOf(classOf[LogicalRelation])) match {
    case (Some(own), Some(ofSql)) =>
      own == ofSql || (directoryOf(own) == directoryOf(ofSql) && own.drop(directoryOf(own).length).startsWith("spark-"))
    case (own, ofSql) => own == ofSql
  }

  private def directoryOf(jar: String): String = jar.take(jar.lastIndexOf('/') + 1)

  /** Whether `kind` was loaded from Spark's jars, Scala's library or the JDK. */
  def isPlatform(kind: Class[_]): Boolean =
    if (kind.isArray) isPlatform(kind.getComponentType)
    else kind.isPrimitive || isJdks(kind) || isSparks(kind) || isScalas(kind)

  def isScalas(kind: Class[_]): Boolean = scalaLibrary.exists(jarOf(kind).contains(_))

  private def isJdks(kind: Class[_]): Boolean =
    kind.getModule.isNamed && Option(kind.getModule.getName).exists(_.startsWith("java."))

  private def jarOf(kind: Class[_]): Option[String] =
    Try(Option(kind.getProtectionDomain.getCodeSource).flatMap(source => Option(source.getLocation))).toOption.flatten
      .map(_.toExternalForm)
}
