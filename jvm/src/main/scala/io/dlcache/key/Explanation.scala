package io.dlcache.key

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.{ArrayNode, JsonNodeFactory, ObjectNode}
import io.dlcache.spark.PlanLeaf
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** What a key was made of, for people and for the comparison of two keys: docs/plan-key.md describes the keys. Nothing in
  * it is secret, and nothing in it differs between two runs of one query.
  */
final private[key] class Explanation(redaction: Redaction) {
  import Explanation._

  private val json = JsonNodeFactory.instance

  def of(parts: Parts): ObjectNode = {
    val root = json.objectNode()
    root.put("encoder-version", PlanKey.EncoderVersion).put("format-version", PlanKey.FormatVersion)
    root.put("spark-version", parts.sparkVersion).put("scope", parts.scope)
    parts.userKey.foreach(root.put("user-key", _))
    parts.plan.foreach(plan => root.set[JsonNode]("plan", linesOf(plan)))
    root.set[JsonNode]("schema", CanonicalJson.mapper.readTree(parts.schema))
    if (parts.plan.isDefined) {
      val inputs = root.putArray("inputs")
      parts.inputs.foreach(input => inputs.add(describe(input)))
    }
    if (parts.functions.nonEmpty) parts.functions.foreach(root.withArray[ArrayNode]("functions").add)
    root.set[JsonNode]("confs", mapOf(redaction.redactOptions(parts.confs)))
    if (parts.hadoop.nonEmpty) root.set[JsonNode]("hadoop", mapOf(redaction.redactOptions(parts.hadoop)))
    if (parts.layout.nonEmpty) root.set[JsonNode]("layout", mapOf(redaction.redactOptions(parts.layout)))
    root.set[JsonNode]("options", mapOf(redaction.redactOptions(parts.options)))
    val reasons = root.putArray("reasons")
    parts.reasons.foreach(reason => reasons.addObject().put("code", reason.code).put("message", reason.message))
    root
  }

  private def mapOf(values: Map[String, String]): ObjectNode = {
    val node = json.objectNode()
    values.toSeq.sorted.foreach { case (name, value) => node.put(name, value) }
    node
  }

  private def describe(input: InputState): ObjectNode = {
    val node = json.objectNode()
    input match {
      case files: InputState.Files =>
        val base = commonDirectory(files.files.map(_.path))
        node.put("kind", "files").put("format", files.format)
        val roots = node.putArray("roots")
        files.roots.foreach(root => roots.add(redaction.redactText(root)))
        node.put("files", files.files.length).put("bytes", files.files.map(_.length).sum)
        node.set[JsonNode]("options", mapOf(redaction.redactOptions(files.options)))
        node.put("base", redaction.redactText(base))
        val list = node.putArray("list")
        files.files.take(ListedFiles).foreach(file => add(list.addArray(), file, base))
        if (files.named.nonEmpty) {
          val named = node.putArray("named")
          files.named.foreach(file => add(named.addArray(), file, ""))
        }
      case table: InputState.Table =>
        node.put("kind", "table").put("provider", table.kind).put("name", redaction.redactText(table.name))
        node.put("id", table.id).put("version", table.version)
        node.set[JsonNode]("options", mapOf(redaction.redactOptions(table.options)))
      case local: InputState.Local => node.put("kind", "local").put("rows", local.rows).put("bytes", local.bytes)
      case current: InputState.Current =>
        node.put("kind", "current").put("function", current.function).put("value", redaction.redactText(current.value))
      case session: InputState.Session =>
        node.put("kind", "session").put("description", redaction.redactText(session.description))
    }
    node.put("digest", input.digest.hex)
  }

  private def add(entry: ArrayNode, file: PlanLeaf.FileState, base: String): Unit = {
    entry.add(redaction.redactText(file.path.substring(base.length))).add(file.length).add(file.modified)
    file.etag.foreach(entry.add(_))
  }

  private def linesOf(plan: LogicalPlan): ArrayNode = {
    val lines = json.arrayNode()
    def add(node: LogicalPlan, depth: Int): Unit =
      if (lines.size < PlanLines) {
        lines.add("  " * depth + lineOf(node))
        node.subqueries.foreach { case subquery: LogicalPlan => add(subquery, depth + 2) }
        node.children.foreach(add(_, depth + 1))
      }
    add(plan, 0)
    lines
  }

  private def lineOf(node: LogicalPlan): String = {
    val shown = node.mapExpressions(redaction.redactLiterals)
    val line = ExpressionIds.replaceAllIn(shown.simpleString(PlanFields), "")
    val visible = redaction.redactText(line.linesIterator.mkString(" "))
    if (visible.length <= LineLength) visible else visible.take(LineLength) + "…"
  }
}

private[key] object Explanation {

  /** Files of one input that are listed by name; `files` and `digest` are over all of them. */
  val ListedFiles = 1000
  private val PlanLines = 1000
  private val PlanFields = 1000
  private val LineLength = 2000
  private val ExpressionIds = "#\\d+L?".r

  /** @param plan absent for a user's own key, which has no part in it */
  final case class Parts(
      scope: String,
      sparkVersion: String,
      userKey: Option[String],
      plan: Option[LogicalPlan],
      schema: String,
      inputs: Seq[InputState],
      confs: Map[String, String],
      hadoop: Map[String, String],
      layout: Map[String, String],
      options: Map[String, String],
      reasons: Seq[Reason],
      functions: Seq[JsonNode] = Nil
  )

  /** The longest directory that all paths lie in, with its slash. */
  def commonDirectory(paths: Seq[String]): String =
    if (paths.isEmpty) ""
    else {
      // Of sorted paths the first and the last have the least in common.
      val (first, last) = (paths.min, paths.max)
      val common = first.zip(last).takeWhile { case (a, b) => a == b }.length
      first.substring(0, first.lastIndexOf('/', math.max(common - 1, 0)) + 1)
    }
}
