package io.dlcache.lifecycle

import java.time.Instant
import java.time.format.DateTimeParseException
import java.time.temporal.ChronoUnit

import com.fasterxml.jackson.core.JsonProcessingException
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}

/** Who needs a dataset: docs/format.md §6.
  *
  * @param kind `reader`, `writer` or `application`
  * @param host the table of processes that `pid` belongs to
  * @param processStart tells the process from a later one with its pid
  * @param version of a reader
  * @param applicationId of an application
  * @param job of a writer: the UUID in the names of its shards
  * @param baseVersion of a writer: it publishes a higher version than this; none while it has not looked yet
  */
final private[dlcache] case class Lease(
    kind: String,
    host: String,
    pid: Long,
    processStart: Option[String],
    expiresAt: Instant,
    version: Option[Long] = None,
    applicationId: Option[String] = None,
    job: Option[String] = None,
    baseVersion: Option[Long] = None
) {

  /** Whether the holder is there still, asked on `here`.
    *
    * @param isRunning whether the process with this pid and start is there; None if nobody can say
    */
  def isLive(now: Instant, here: String, isRunning: (Long, Option[String]) => Option[Boolean]): Boolean = {
    val running = if (host == here) isRunning(pid, processStart) else None
    if (running.contains(false)) false
    else (running.contains(true) && kind == Lease.Reader) || now.isBefore(expiresAt)
  }
}

private[dlcache] object Lease {
  val Reader = "reader"
  val Writer = "writer"
  val Application = "application"

  private val mapper = new ObjectMapper

  def write(lease: Lease): String = {
    val node = mapper.createObjectNode()
    node.put("kind", lease.kind).put("host", lease.host).put("pid", lease.pid)
    lease.processStart.foreach(node.put("process-start", _))
    lease.version.foreach(node.put("version", _))
    lease.applicationId.foreach(node.put("application-id", _))
    lease.job.foreach(node.put("job", _))
    lease.baseVersion.foreach(node.put("base-version", _))
    node.put("expires-at", lease.expiresAt.truncatedTo(ChronoUnit.MILLIS).toString)
    mapper.writeValueAsString(node)
  }

  /** The lease in a text from outside; None if it is not one. */
  def parse(text: String): Option[Lease] =
    try {
      val node = mapper.readTree(text)
      def string(key: String) = Option(node.get(key)).filter(_.isTextual).map(_.textValue)
      def long(key: String) = Option(node.get(key)).filter(isLong).map(_.longValue)
      for {
        kind <- string("kind") if Set(Reader, Writer, Application).contains(kind)
        host <- string("host")
        pid <- long("pid") if pid > 0
        expiresAt <- string("expires-at").flatMap(parseInstant)
        version = long("version") if version.isDefined || kind != Reader
        application = string("application-id") if application.isDefined || kind != Application
      } yield Lease(
        kind,
        host,
        pid,
        string("process-start"),
        expiresAt,
        version,
        application,
        string("job"),
        long("base-version")
      )
    } catch { case _: JsonProcessingException => None }

  private def isLong(node: JsonNode) = node.isIntegralNumber && node.canConvertToLong

  private def parseInstant(text: String): Option[Instant] =
    try Some(Instant.parse(text))
    catch { case _: DateTimeParseException => None }
}
