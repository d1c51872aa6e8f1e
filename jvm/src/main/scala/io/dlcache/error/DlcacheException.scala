package io.dlcache.error

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.ObjectMapper

/** The one exception of the connector. `condition` names an entry of `dlcache-error-conditions.json`, which holds the
  * message template; `parameters` are the values that matter. Raise it through [[DlcacheErrors]].
  */
final class DlcacheException private[error] (
    condition: String,
    parameters: Map[String, String],
    cause: Option[Throwable]
) extends SparkError(ErrorConditions.message(condition, parameters), cause.orNull) {

  override def getCondition: String = condition
  override def getSqlState: String = ErrorConditions(condition).sqlState
  override def getMessageParameters: java.util.Map[String, String] = parameters.asJava
}

final private[dlcache] case class ErrorCondition(message: String, sqlState: String) {

  /** The `<parameters>` that the template names. */
  def parameters: Set[String] = ErrorConditions.Parameter.findAllMatchIn(message).map(_.group(1)).toSet
}

private[dlcache] object ErrorConditions {
  private[error] val Parameter = "<([a-zA-Z]+)>".r

  lazy val all: Map[String, ErrorCondition] = {
    val resource = getClass.getResourceAsStream("/io/dlcache/error/dlcache-error-conditions.json")
    val tree =
      try new ObjectMapper().readTree(resource)
      finally resource.close()
    tree
      .properties()
      .asScala
      .map { entry =>
        val text = entry.getValue.get("message").elements().asScala.map(_.asText()).mkString("\n")
        entry.getKey -> ErrorCondition(text, entry.getValue.get("sqlState").asText())
      }
      .toMap
  }

  def apply(condition: String): ErrorCondition = all(condition)

  /** `[CONDITION] text` with its parameters filled in, as Spark's own errors read. */
  def message(condition: String, parameters: Map[String, String]): String = {
    val template = apply(condition)
    require(
      template.parameters == parameters.keySet,
      s"$condition takes ${template.parameters}, not ${parameters.keySet}"
    )
    val text =
      Parameter.replaceAllIn(template.message, m => java.util.regex.Matcher.quoteReplacement(parameters(m.group(1))))
    s"[$condition] $text"
  }
}
