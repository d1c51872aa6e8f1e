package io.dlcache.key

import org.apache.spark.sql.catalyst.expressions.{Attribute, ExprId}

/** The columns that the expressions of one operator can refer to, by position. They are looked at when first asked for.
  *
  * @param inputs the columns of its inputs
  * @param declared the columns that it makes and holds itself
  * @param outer what a subquery's outer references are positions in
  */
final private[key] class Scope(inputs: => Seq[Attribute], declared: => Seq[Attribute], val outer: Option[Scope]) {
  private lazy val inputOrdinals = Scope.ordinalsOf(inputs)
  private lazy val declaredOrdinals = Scope.ordinalsOf(declared)

  def inputOf(id: ExprId): Option[Int] = inputOrdinals.get(id)

  def declaredOf(id: ExprId): Option[Int] = declaredOrdinals.get(id)

  /** This scope for the fields of a subquery's expression, which can refer to the subquery's columns. */
  def withDeclared(more: Seq[Attribute]): Scope = new Scope(inputs, declared ++ more, outer)

  /** This scope and those around it, innermost first. */
  def chain: Iterator[Scope] = Iterator.iterate(Option(this))(_.flatMap(_.outer)).takeWhile(_.isDefined).flatten
}

private[key] object Scope {
  val empty = new Scope(Nil, Nil, None)

  private def ordinalsOf(columns: Seq[Attribute]): Map[ExprId, Int] =
    columns.iterator.zipWithIndex.map { case (column, i) => column.exprId -> i }.toSeq.reverse.toMap
}
