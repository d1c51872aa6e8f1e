package io.dlcache.conf

import scala.jdk.CollectionConverters._
import scala.util.Try

import com.fasterxml.jackson.core.StreamReadFeature
import com.fasterxml.jackson.databind.{DeserializationFeature, JsonNode}
import com.fasterxml.jackson.databind.json.JsonMapper
import io.dlcache.shard.Pack

/** The text of the option `pack`: `{"features": ["age", "height"]}`. */
private[conf] object PackOption {
  private val mapper = JsonMapper
    .builder()
    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
    .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
    .build()

  /** None if it is not such a text. In the order of the names: it changes no byte of what is written. */
  def parse(text: String): Option[Seq[Pack]] =
    Try(mapper.readTree(text)).toOption.filter(node => node.isObject && !node.isEmpty).flatMap { node =>
      val packs = node.properties().asScala.toSeq.map(entry => pack(entry.getKey, entry.getValue))
      Option.when(packs.forall(_.isDefined))(packs.flatten.sortBy(_.name))
    }

  /** The one spelling of these packs. */
  def text(packs: Seq[Pack]): String = {
    val node = mapper.createObjectNode()
    packs.foreach { pack =>
      val columns = node.putArray(pack.name)
      pack.columns.foreach(columns.add(_))
    }
    mapper.writeValueAsString(node)
  }

  private def pack(name: String, columns: JsonNode): Option[Pack] = {
    val items = columns.elements().asScala.toSeq
    Option.when(name.nonEmpty && columns.isArray && items.nonEmpty && items.forall(_.isTextual)) {
      Pack(name, items.map(_.asText))
    }
  }
}
