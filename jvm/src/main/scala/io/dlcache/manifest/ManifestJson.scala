package io.dlcache.manifest

import java.time.{Instant, ZoneOffset}
import java.time.format.DateTimeFormatter

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.core.StreamReadFeature
import com.fasterxml.jackson.databind.{DeserializationFeature, JsonNode}
import com.fasterxml.jackson.databind.json.JsonMapper
import com.fasterxml.jackson.databind.node.{ArrayNode, ObjectNode}

/** The text of a manifest: docs/format.md §2. `parse` trusts nothing in it: see `ManifestParser`. */
private[dlcache] object ManifestJson {

  val FormatVersion = 1

  private[manifest] val mapper: JsonMapper = JsonMapper
    .builder()
    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
    .build()

  private val createdAtFormat = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC)

  /** @throws io.dlcache.error.DlcacheException DLCACHE_MANIFEST_INVALID, naming `path` and what is wrong */
  def parse(text: String, path: String): Manifest = new ManifestParser(path).parse(text)

  /** One line for each key, each column and each shard: small, and still readable and comparable line by line. The last is
    * its checksum.
    */
  def write(manifest: Manifest): String = {
    val head = mapper.createObjectNode()
    head.put("format-version", FormatVersion)
    head.put("dataset-id", manifest.datasetId)
    head.put("version", manifest.version)
    head.put("created-at", formatInstant(manifest.createdAt))
    head.put("created-by", manifest.createdBy)
    head.set[JsonNode]("plan-key", planKey(manifest.planKey))
    if (manifest.writtenKeys.nonEmpty) {
      val keys = head.putArray("written-keys")
      manifest.writtenKeys.foreach(key => keys.add(planKey(key)))
    }
    manifest.explanation.foreach(head.set[JsonNode]("explanation", _))
    head.set[JsonNode]("schema", mapper.readTree(manifest.schema.json))
    manifest.unpacked.foreach(unpacked => head.set[JsonNode]("unpacked-schema", mapper.readTree(unpacked.json)))
    head.put("rows", manifest.rows)
    head.put("bytes", manifest.bytes)
    head.set[JsonNode]("options", options(manifest.options))
    manifest.timeToLive.foreach(head.put("ttl-seconds", _))

    val lines = head.properties().asScala.iterator.map(e => member(e.getKey, mapper.writeValueAsString(e.getValue)))
    val lists = Seq(
      member("columns", list(manifest.columns.map(column))),
      member("shards", list(manifest.shards.map(shard)))
    )
    ManifestChecksum.append((lines ++ lists).mkString("{\n", ",\n", ",\n"))
  }

  private def formatInstant(instant: Instant): String = createdAtFormat.format(instant)

  private def member(key: String, value: String): String = s""""$key":$value"""

  private def list(nodes: Seq[JsonNode]): String =
    if (nodes.isEmpty) "[]" else nodes.map(mapper.writeValueAsString).mkString("[\n", ",\n", "\n]")

  private def planKey(key: PlanKeyEntry): ObjectNode = {
    val node = mapper.createObjectNode()
    node.put("scope", key.scope)
    node.put("digest", key.digest)
    key.applicationId.foreach(node.put("application-id", _))
    node
  }

  private def options(values: Map[String, String]): ObjectNode = {
    val node = mapper.createObjectNode()
    values.toSeq.sorted.foreach { case (key, value) => node.put(key, value) }
    node
  }

  private def column(entry: ColumnEntry): ObjectNode = {
    val node = mapper.createObjectNode()
    node.put("name", entry.name)
    entry.path.foreach(node.withArray[ArrayNode]("path").add(_))
    node.put("storage", entry.storage)
    entry.dtype.foreach(node.put("dtype", _))
    entry.storedDtype.foreach(node.put("stored-dtype", _))
    entry.shape.foreach(shape => node.set[JsonNode]("shape", numbers(shape.map(_.toLong))))
    entry.lengths.foreach { case (min, max) => node.set[JsonNode]("lengths", numbers(Seq(min.toLong, max.toLong))) }
    entry.logical.foreach(node.put("logical", _))
    entry.precisionAndScale.foreach { case (precision, scale) =>
      node.put("precision", precision)
      node.put("scale", scale)
    }
    entry.udt.foreach(node.put("udt", _))
    entry.elements.foreach(names => names.foreach(node.withArray[ArrayNode]("elements").add(_)))
    node.put("nulls", entry.nulls)
    node.put("null-elements", entry.nullElements)
    entry.statistics.foreach(node.set[JsonNode]("statistics", _))
    node
  }

  private def shard(entry: ShardEntry): ObjectNode = {
    val node = mapper.createObjectNode()
    node.put("path", entry.path)
    node.put("version", entry.version)
    node.put("rows", entry.rows)
    node.put("bytes", entry.bytes)
    node.put("crc32", entry.crc32)
    node.put("row-group-rows", entry.rowGroupRows)
    val chunks = node.putArray("chunks")
    entry.chunks.foreach {
      case None => chunks.addNull()
      case Some(groups) =>
        chunks.add(numbers(groups.flatMap(chunk => Seq(chunk.valuesOffset, chunk.valuesBytes, chunk.indexOffset))))
    }
    node
  }

  private def numbers(values: Seq[Long]): ArrayNode = {
    val array = mapper.createArrayNode()
    values.foreach(array.add(_))
    array
  }
}
