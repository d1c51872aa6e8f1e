package io.dlcache.write

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.manifest.{ChunkEntry, ColumnEntry, ShardEntry}
import io.dlcache.shard._

/** What the writer of shards saw, as the manifest's entries, and back. */
private[write] object ManifestEntries {

  /** @param summaries of all rows, in the order of the layout's columns */
  def columns(layout: ShardLayout, summaries: Seq[ColumnSummary]): Seq[ColumnEntry] =
    layout.columns.zip(summaries).map { case (column, summary) =>
      val facts = ColumnFacts.of(column, summary)
      ColumnEntry(
        facts.path,
        facts.storage,
        facts.dtype,
        facts.storedDtype,
        facts.shape,
        facts.lengths,
        facts.logical,
        facts.precisionAndScale,
        facts.udt,
        facts.elements,
        facts.nulls,
        facts.nullElements,
        facts.statistics
      )
    }

  def shard(shard: WrittenShard, version: Long): ShardEntry = ShardEntry(
    shard.path,
    version,
    shard.summary.rows,
    shard.summary.bytes,
    shard.summary.crc32,
    shard.summary.rowGroupRows,
    shard.summary.chunks.map(_.map(_.map(c => ChunkEntry(c.valuesOffset, c.valuesBytes, c.indexOffset))))
  )

  /** A nested column has no raw chunks, though those of some shards look so: their rows have one shape, but another than
    * those of other shards.
    */
  def withoutNestedChunks(shard: ShardEntry, columns: Seq[ColumnEntry]): ShardEntry =
    shard.copy(chunks = shard.chunks.zip(columns).map { case (chunks, column) =>
      if (column.storage == "nested") None else chunks
    })

  /** What the writer of `rows` rows must have seen to enter this column. What the entry does not say (shapes of single
    * shards, say) the summary does not know: merged with another it gives what holds for both.
    */
  def summary(column: ColumnEntry, rows: Long): ColumnSummary =
    if (rows == 0) ColumnSummary.empty
    else {
      val shape = column.shape match {
        case Some(dimensions) => Shape.Uniform(dimensions)
        case None if column.storage == "ragged" && column.lengths.isEmpty => Shape.Unseen
        case None => Shape.Mixed
      }
      val lengths = column.lengths.orElse(column.shape.collect { case Seq(length) => (length, length) })
      ColumnSummary(
        rows,
        column.nulls,
        column.nullElements,
        shape,
        lengths,
        column.statistics.filter(_.has("count")).map(numbers),
        column.statistics.flatMap(s => Option(s.get("classes"))).flatMap(classes(_, column))
      )
    }

  private def numbers(statistics: JsonNode): Numbers = {
    val count = statistics.get("count").asLong
    val means = statistics.get("mean")
    if (means != null && means.isArray) {
      def each(name: String, absent: Double): Array[Double] =
        statistics.get(name).elements().asScala.map(number(_, absent)).toArray
      val variances = each("variance", Double.NaN)
      // An element without a least number had none at all: they were all NaN.
      val counts = statistics.get("min").elements().asScala.map(least => if (least.isNull) 0L else count).toArray
      ElementMoments(
        counts,
        each("min", Double.PositiveInfinity),
        each("max", Double.NegativeInfinity),
        each("mean", Double.NaN),
        variances.map(_ * count),
        exactBounds(statistics.get("min"), statistics.get("max"))
      )
    } else if (count == 0) Moments.empty
    else {
      val (min, max) = (statistics.get("min"), statistics.get("max"))
      val exact = Option.when(isInteger(min) && isInteger(max))((min.asLong, max.asLong))
      Moments(
        count,
        number(min, Double.PositiveInfinity),
        number(max, Double.NegativeInfinity),
        number(means, Double.NaN),
        number(statistics.get("variance"), Double.NaN) * count,
        exact
      )
    }
  }

  private def exactBounds(mins: JsonNode, maxs: JsonNode): Option[Array[(Long, Long)]] = {
    val bounds = mins.elements().asScala.zip(maxs.elements().asScala).toArray
    Option.when(bounds.forall { case (min, max) => isInteger(min) && isInteger(max) }) {
      bounds.map { case (min, max) => (min.asLong, max.asLong) }
    }
  }

  private def isInteger(node: JsonNode) = node != null && node.isIntegralNumber

  private def number(node: JsonNode, absent: Double): Double =
    if (node == null || node.isNull) absent
    else if (node.isTextual) node.asText.toDouble
    else node.asDouble

  private def classes(counts: JsonNode, column: ColumnEntry): Option[Classes] = {
    val entries = counts.elements().asScala.map(entry => (entry.get(0), entry.get(1).asLong)).toSeq
    column.storage match {
      case "string" => Some(Classes.Strings(entries.map { case (value, count) => value.asText -> count }.toMap))
      case "scalar" =>
        Some(Classes.Integers(entries.map { case (value, count) =>
          (if (value.isBoolean) if (value.asBoolean) 1L else 0L else value.asLong) -> count
        }.toMap))
      case _ => None
    }
  }
}
