package io.dlcache.shard

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.{ArrayNode, JsonNodeFactory, ObjectNode}

/** What the manifest says of a column: the fields of an entry in docs/format.md, section 2.1. */
final private[dlcache] case class ColumnFacts(
    path: Seq[String],
    storage: String,
    dtype: Option[String],
    storedDtype: Option[String],
    shape: Option[Seq[Int]],
    lengths: Option[(Int, Int)],
    logical: Option[String],
    precisionAndScale: Option[(Int, Int)],
    udt: Option[String],
    elements: Option[Seq[String]],
    nulls: Long,
    nullElements: Long,
    statistics: Option[JsonNode]
) {

  /** A nested column has no raw chunks, though those of some shards may look so. */
  def hasRawChunks: Boolean = storage != "nested"
}

private[dlcache] object ColumnFacts {
  private val Json = JsonNodeFactory.instance

  /** @param summary of all rows of the dataset; `ColumnSummary.empty` if it has none */
  def of(column: LeafColumn, summary: ColumnSummary): ColumnFacts = {
    val plain = ColumnFacts(
      column.path,
      "nested",
      None,
      None,
      None,
      None,
      None,
      None,
      column.udt,
      None,
      summary.nulls,
      summary.nullElements,
      None
    )
    column.strategy match {
      case ColumnStrategy.Scalar(value) =>
        typed(plain, value).copy(storage = "scalar", statistics = statistics(summary, value, byElement = false))
      case ColumnStrategy.Lists(value, depth) => list(plain, value, depth, summary)
      case ColumnStrategy.Vector(value) => list(plain, value, 1, summary)
      case ColumnStrategy.Packed(values, names, _) =>
        val byElement = names.size <= NumberScan.MaxElements
        typed(plain, values.head).copy(
          storage = "tensor",
          shape = Some(Seq(names.size)),
          elements = Some(names),
          statistics = statistics(summary, values.head, byElement)
        )
      case ColumnStrategy.Text =>
        plain.copy(storage = "string", lengths = summary.lengths, statistics = classes(summary, isBoolean = false))
      case ColumnStrategy.Binary => plain.copy(storage = "binary", lengths = summary.lengths)
      case ColumnStrategy.LargeDecimal(precision, scale) =>
        plain.copy(storage = "scalar", logical = Some("decimal"), precisionAndScale = Some((precision, scale)))
      case ColumnStrategy.Untyped => plain.copy(storage = "scalar")
      case ColumnStrategy.Nested => plain
    }
  }

  private def list(plain: ColumnFacts, value: ValueType, depth: Int, summary: ColumnSummary): ColumnFacts =
    summary.shape match {
      case Shape.Uniform(shape) if shape.forall(_ >= 1) && summary.nulls == 0 && summary.nullElements == 0 =>
        val byElement = shape.map(_.toLong).product <= NumberScan.MaxElements
        typed(plain, value)
          .copy(storage = "tensor", shape = Some(shape), statistics = statistics(summary, value, byElement))
      case _ if depth == 1 =>
        typed(plain, value)
          .copy(
            storage = "ragged",
            lengths = summary.lengths,
            statistics = statistics(summary, value, byElement = false)
          )
      case _ => plain
    }

  private def typed(plain: ColumnFacts, value: ValueType): ColumnFacts =
    plain.copy(
      dtype = Some(value.dtype),
      storedDtype = Some(value.stored.name),
      logical = value.logical,
      precisionAndScale = value.precisionAndScale
    )

  private def classes(summary: ColumnSummary, isBoolean: Boolean): Option[JsonNode] = {
    val node = Json.objectNode()
    summary.classes.foreach(addClasses(node, _, isBoolean))
    if (node.isEmpty) None else Some(node)
  }

  private def statistics(summary: ColumnSummary, value: ValueType, byElement: Boolean): Option[JsonNode] =
    summary.numbers.map { numbers =>
      val node = Json.objectNode()
      numbers match {
        case elements: ElementMoments if byElement =>
          node.put("count", summary.rows)
          val each = (0 until elements.size).map(elements(_))
          def array(number: Moments => JsonNode): ArrayNode =
            each.foldLeft(Json.arrayNode(each.size))((all, moments) => all.add(number(moments)))
          node.set[JsonNode]("min", array(least(_, value)))
          node.set[JsonNode]("max", array(greatest(_, value)))
          node.set[JsonNode]("mean", array(m => number(m, m.mean)))
          node.set[JsonNode]("variance", array(m => number(m, m.variance)))
        case _ =>
          val m = numbers.overall
          node.put("count", m.count)
          Seq(
            "min" -> least(m, value),
            "max" -> greatest(m, value),
            "mean" -> number(m, m.mean),
            "variance" -> number(m, m.variance)
          ).foreach {
            case (name, node1) => if (!node1.isNull) node.set[JsonNode](name, node1)
          }
      }
      summary.classes.foreach(addClasses(node, _, value.stored == Stored.Bit))
      node
    }

  private def addClasses(node: ObjectNode, classes: Classes, isBoolean: Boolean): Unit = {
    val array = node.putArray("classes")
    classes match {
      case Classes.Integers(counts) =>
        counts.toSeq.sorted.foreach { case (value, count) =>
          val entry = array.addArray()
          if (isBoolean) entry.add(value != 0) else entry.add(value)
          entry.add(count)
        }
      case strings: Classes.Strings =>
        strings.sorted.foreach { case (value, count) => array.addArray().add(value).add(count) }
    }
  }

  private def least(moments: Moments, value: ValueType): JsonNode =
    moments.exact.fold(bound(moments, moments.min, value))(exact => Json.numberNode(exact._1))

  private def greatest(moments: Moments, value: ValueType): JsonNode =
    moments.exact.fold(bound(moments, moments.max, value))(exact => Json.numberNode(exact._2))

  /** Least or greatest value: a whole number for types of whole numbers. */
  private def bound(moments: Moments, x: Double, value: ValueType): JsonNode =
    if (value.stored.isDiscrete && moments.count > 0) Json.numberNode(x.toLong) else number(moments, x)

  private def number(moments: Moments, x: Double): JsonNode =
    if (moments.count == 0 || x.isNaN) Json.nullNode()
    else if (x.isInfinite) Json.textNode(if (x > 0) "Infinity" else "-Infinity")
    else Json.numberNode(x)
}
