package io.dlcache.lifecycle

import java.time.Instant

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.core.JsonProcessingException
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.databind.node.ObjectNode

/** What a deletion is about to delete: docs/format.md §7.
  *
  * @param deleter the process that deletes, and until when others leave it to that; none if it is not known
  */
final private[dlcache] case class DeletionRecord(versions: Seq[Long], shards: Seq[String], deleter: Option[Lease]) {

  /** Whether the deletion may still delete manifests from `version` on. */
  def mayDeleteFrom(version: Long, now: Instant): Boolean = versions.exists(_ >= version) &&
    deleter.exists(_.isLive(now, Processes.host, Processes.isRunning))

  /** Whether the deletion is about to take one of these shards. */
  def takes(some: Seq[String]): Boolean = some.exists(shards.toSet)

  def write: Array[Byte] = {
    val node = deleter.map(lease => DeletionRecord.mapper.readTree(Lease.write(lease))) match {
      case Some(holder: ObjectNode) => holder
      case _ => DeletionRecord.mapper.createObjectNode()
    }
    node.remove("kind"): Unit
    val numbers = node.putArray("versions")
    versions.foreach(numbers.add(_))
    val paths = node.putArray("shards")
    shards.foreach(paths.add(_))
    DeletionRecord.mapper.writeValueAsBytes(node)
  }
}

private[dlcache] object DeletionRecord {
  private val mapper = new ObjectMapper

  /** A text from outside; one that cannot be understood names nothing. */
  def parse(text: Array[Byte]): DeletionRecord =
    try
      mapper.readTree(text) match {
        case node: ObjectNode =>
          def all(key: String): Seq[JsonNode] = Option(node.get(key)).toSeq.flatMap(_.elements.asScala)
          val versions = all("versions").filter(_.isIntegralNumber).map(_.longValue)
          val shards = all("shards").filter(_.isTextual).map(_.textValue)
          DeletionRecord(versions, shards, Lease.parse(node.put("kind", Lease.Writer).toString))
        case _ => DeletionRecord(Nil, Nil, None)
      }
    catch { case _: JsonProcessingException => DeletionRecord(Nil, Nil, None) }

  /** A record of this process. */
  def own(versions: Seq[Long], shards: Seq[String], expiresAt: Instant): DeletionRecord = {
    val pid = Processes.ownPid
    DeletionRecord(versions, shards, Some(Lease(Lease.Writer, Processes.host, pid, Processes.startOf(pid), expiresAt)))
  }
}
