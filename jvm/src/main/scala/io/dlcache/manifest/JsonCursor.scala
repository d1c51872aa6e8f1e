package io.dlcache.manifest

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode

/** A place in a JSON text that comes from outside. Every accessor checks the type, and says where it is when it fails.
  *
  * @param where such as `shards[3].bytes`
  * @param fail raises the error that names the file
  */
final private[manifest] class JsonCursor(val node: JsonNode, val where: String, fail: String => Nothing) {

  def invalid(what: String): Nothing = fail(s"$where $what")

  def require(condition: Boolean, what: => String): Unit = if (!condition) invalid(what)

  private def member(key: String): JsonCursor = {
    if (!node.isObject) invalid("is not an object")
    val place = if (where.isEmpty) key else s"$where.$key"
    new JsonCursor(node.get(key), place, fail)
  }

  def apply(key: String): JsonCursor = {
    val found = member(key)
    if (found.node == null) fail(s"the key ${found.where} is missing")
    found
  }

  def get(key: String): Option[JsonCursor] = Option(member(key)).filter(_.node != null)

  def obj: JsonNode = if (node.isObject) node else invalid("is not an object")

  def elements: IndexedSeq[JsonCursor] = {
    if (!node.isArray) invalid("is not an array")
    (0 until node.size()).map(i => new JsonCursor(node.get(i), s"$where[$i]", fail))
  }

  def string: String = if (node.isTextual) node.textValue else invalid("is not a string")

  def oneOf(allowed: Seq[String]): String = {
    val value = string
    if (!allowed.contains(value)) invalid(s"is '$value', and not one of ${allowed.mkString(", ")}")
    value
  }

  def long(least: Long, greatest: Long = Long.MaxValue): Long = {
    if (!node.isIntegralNumber || !node.canConvertToLong) invalid("is not a 64-bit integer")
    val value = node.longValue
    if (value < least) invalid(s"is $value, below $least")
    if (value > greatest) invalid(s"is $value, above $greatest")
    value
  }

  def int(least: Int): Int = long(least, Int.MaxValue).toInt

  def stringMap: Map[String, String] =
    obj.properties().asScala.iterator.map(e => e.getKey -> apply(e.getKey).string).toMap
}
