package io.dlcache.key

import java.nio.file.{Files, Paths}
import java.security.MessageDigest

import scala.jdk.CollectionConverters._
import scala.util.Try

import com.fasterxml.jackson.databind.JsonNode

/** What `dlcache.cache` in Python knows of the functions of a plan: the connector sees pickles, which hold the functions of
  * modules by name only.
  *
  * @param functions by the SHA-256 of their pickles
  * @param durable whether the user asked for keys that other applications find
  */
final private[dlcache] case class PythonSources(functions: Map[String, PythonSource], durable: Boolean) {
  def of(command: Array[Byte]): Option[PythonSource] = functions.get(PythonSources.sha256(command))
}

/** One function.
  *
  * @param untraceable why it is not known what it rests on; then there is no digest
  * @param digest of the modules and packages that it rests on
  * @param source digest of its code and of what it captures, equal in any process
  * @param session why there is no `source`, if that was asked for
  * @param changed what of it is younger than the Spark application
  * @param files the modules outside site-packages, by path
  * @param described for the explanation
  * @param isIdentity whether it is PySpark's own function that changes nothing
  */
final private[dlcache] case class PythonSource(
    untraceable: Option[String],
    digest: String,
    source: Option[String],
    session: Option[String],
    changed: Option[String],
    files: Seq[String],
    described: Option[JsonNode],
    isIdentity: Boolean = false
) {

  /** Of the files as they are now. It is looked at again before a write is published. */
  def state: Digest = Digest { sink =>
    sink.long('n', files.length.toLong)
    files.map(PythonSources.contentOf).sorted.foreach(content => sink.string(content))
  }
}

private[dlcache] object PythonSources {
  val none: PythonSources = PythonSources(Map.empty, durable = false)

  /** None if `text` is no JSON object of the form that `dlcache.cache` gives. */
  def parse(text: String): Option[Map[String, PythonSource]] =
    Try(CanonicalJson.mapper.readTree(text)).toOption.filter(_.isObject).flatMap { tree =>
      val entries = tree.properties().asScala.toSeq.map(entry => sourceOf(entry.getValue).map(entry.getKey -> _))
      Option.when(entries.forall(_.isDefined))(entries.flatten.toMap)
    }

  private def sourceOf(node: JsonNode): Option[PythonSource] = {
    def text(name: String): Option[String] = Option(node.get(name)).filter(_.isTextual).map(_.asText)
    val source = PythonSource(
      text("untraceable"),
      text("digest").getOrElse(""),
      text("source"),
      text("session"),
      text("changed"),
      Option(node.get("files")).toSeq.flatMap(_.elements.asScala.map(_.asText)),
      Option(node.get("described")),
      node.path("identity").asBoolean
    )
    Option.when(node.isObject && (source.untraceable.isDefined || source.digest.nonEmpty))(source)
  }

  private[key] def sha256(bytes: Array[Byte]): String =
    new Digest(MessageDigest.getInstance("SHA-256").digest(bytes)).hex

  private[key] def contentOf(file: String): String =
    Try(sha256(Files.readAllBytes(Paths.get(file)))).getOrElse("unreadable")
}
