package io.dlcache.write

import java.nio.charset.StandardCharsets
import java.security.MessageDigest
import java.time.Instant

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.manifest.{Manifest, PlanKeyEntry, ShardEntry}
import io.dlcache.shard.{ColumnSummary, ShardLayout}

/** What one write adds to a dataset, and the manifests that it can make of it. Pure.
  *
  * @param datasetId of a dataset that starts with these rows
  * @param options the write options that change bytes
  */
final private[dlcache] case class NextVersion(
    datasetId: String,
    createdAt: Instant,
    createdBy: String,
    key: PlanKeyEntry,
    explanation: JsonNode,
    layout: ShardLayout,
    shards: Seq[WrittenShard],
    options: Map[String, String],
    ttlSeconds: Option[Long]
) {

  /** These rows only. */
  def as(version: Long): Manifest = manifest(version, Nil, summaries)

  /** The rows of `current`, then these. Their columns must fit: [[Alignment.appends]]. */
  def appendedTo(current: Manifest, version: Long): Manifest = {
    val merged = current.columns.zip(summaries).map { case (column, added) =>
      ManifestEntries.summary(column, current.rows).merge(added)
    }
    manifest(version, current.shards, merged).copy(
      datasetId = current.datasetId,
      planKey = NextVersion.appendedKey(current.planKey, key),
      schema = Alignment.widen(current.schema, layout.schema),
      unpacked =
        for (there <- current.unpacked; added <- layout.unpacked) yield Alignment.widen(there, added),
      timeToLive = ttlSeconds.orElse(current.timeToLive),
      writtenKeys = (current.keys ++ Option.when(shards.nonEmpty)(key)).distinct
    )
  }

  private def summaries: Seq[ColumnSummary] =
    shards.map(_.summary.columns).foldLeft(layout.columns.map(_ => ColumnSummary.empty)) { (all, columns) =>
      all.zip(columns).map { case (a, b) => a.merge(b) }
    }

  private def manifest(version: Long, before: Seq[ShardEntry], summaries: Seq[ColumnSummary]): Manifest = {
    val columns = ManifestEntries.columns(layout, summaries)
    val all = before ++ shards.map(ManifestEntries.shard(_, version))
    Manifest(
      datasetId,
      version,
      createdAt,
      createdBy,
      key,
      Some(explanation),
      layout.schema,
      layout.unpacked,
      columns,
      all.map(ManifestEntries.withoutNestedChunks(_, columns)),
      options,
      ttlSeconds
    )
  }
}

private[dlcache] object NextVersion {

  /** The key of a dataset after an append: neither the key before nor that of the new rows says what is there now, so a
    * later write of either is not a hit.
    */
  def appendedKey(before: PlanKeyEntry, added: PlanKeyEntry): PlanKeyEntry = {
    val scopes = Set(before.scope, added.scope)
    val scope = Seq("session", "user").find(scopes).getOrElse("durable")
    val text = s"append\n${before.digest}\n${added.digest}"
    val digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8))
    PlanKeyEntry(
      scope,
      digest.map(byte => f"$byte%02x").mkString,
      if (scope == "session") added.applicationId.orElse(before.applicationId) else None
    )
  }
}
