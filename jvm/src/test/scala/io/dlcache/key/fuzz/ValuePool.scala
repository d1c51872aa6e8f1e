package io.dlcache.key.fuzz

import scala.collection.mutable
import scala.util.Random

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.trees.TreeNode

/** What plans hold, by place: the values of the same field of the same class, and the classes that take
  * the same arguments. A mutant takes one for another, so that no list of join types, units, modes and functions has to
  * be kept.
  */
final private[fuzz] class ValuePool {
  private val values = mutable.Map.empty[(String, String), mutable.LinkedHashSet[Any]]
  private val classes = mutable.Map.empty[Seq[Class[_]], mutable.LinkedHashSet[Class[_]]]

  def add(plan: LogicalPlan): Unit = PlanSites.of(plan).foreach { site =>
    site.value match {
      case expression: Expression if site.field.isEmpty =>
        constructor(expression.getClass).foreach { parameters =>
          classes.getOrElseUpdate(parameters, mutable.LinkedHashSet.empty) += expression.getClass
        }
      case _ if site.field.nonEmpty && ValuePool.isPlain(site.value) =>
        values.getOrElseUpdate((site.nodeName, site.field), mutable.LinkedHashSet.empty) += site.value
      case _ => ()
    }
  }

  /** Another value of this place that some plan of the corpus has there. */
  def another(site: Site, random: Random): Option[Any] = {
    val others = values.getOrElse((site.nodeName, site.field), Nil).filter { other =>
      other != site.value && other.getClass == site.value.getClass || ValuePool.siblings(other, site.value)
    }.toIndexedSeq
    Option.when(others.nonEmpty)(others(random.nextInt(others.length)))
  }

  /** An expression of another class with the arguments of `expression`. */
  def sibling(expression: Expression, random: Random): Option[Expression] = {
    val others = constructor(expression.getClass).toSeq.flatMap(classes.getOrElse(_, Nil))
      .filter(_ != expression.getClass).toIndexedSeq
    Option.when(others.nonEmpty) {
      val other = others(random.nextInt(others.length))
      val arguments = expression.asInstanceOf[Product].productIterator.map(_.asInstanceOf[AnyRef]).toArray
      other.getConstructors.maxBy(_.getParameterCount).newInstance(arguments: _*).asInstanceOf[Expression]
    }
  }

  private def constructor(kind: Class[_]): Option[Seq[Class[_]]] =
    kind.getConstructors.sortBy(-_.getParameterCount).headOption.map(_.getParameterTypes.toSeq).filter(_.nonEmpty)
}

private[fuzz] object ValuePool {

  /** Values without identity, which may stand in another plan. */
  def isPlain(value: Any): Boolean = value match {
    case null | _: TreeNode[_] | _: ExprId => false
    case parts: Seq[_] => parts.forall(isPlain)
    case Some(inner) => isPlain(inner)
    case other =>
      val name = other.getClass.getName
      other == None || Seq(
        "java.lang.",
        "java.util.",
        "scala.",
        "org.apache.spark.sql.types.",
        "org.apache.spark.sql.catalyst.plans.",
        "org.apache.spark.sql.catalyst.expressions.",
        "org.apache.spark.unsafe."
      ).exists(name.startsWith)
  }

  /** Two objects of one enumeration in the wide sense: `Inner` and `LeftOuter`, `Some` and `None`. */
  def siblings(one: Any, other: Any): Boolean = one != other && one != null && other != null && {
    (one, other) match {
      case (_: Option[_], _: Option[_]) => true
      case _ => parents(one.getClass).exists(parents(other.getClass).contains)
    }
  }

  private def parents(kind: Class[_]): Set[Class[_]] =
    (Option(kind.getSuperclass).toSet ++ kind.getInterfaces).filter(_.getName.startsWith("org.apache.spark.sql."))
}
