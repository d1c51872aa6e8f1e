package io.dlcache.key

import scala.util.matching.Regex

import org.apache.spark.sql.catalyst.expressions.{Alias, Expression, Literal}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types.StringType

/** Keeps secrets out of explanations: by Spark's own redaction settings, and by what credentials usually look like.
  *
  * @param options replaces what Spark calls secret among named values
  * @param secret Spark's pattern of secret names and texts, `spark.redaction.regex`
  * @param strings Spark's pattern of text to hide in plans, `spark.sql.redaction.string.regex`
  */
final private[key] class Redaction(
    options: Map[String, String] => Map[String, String],
    secret: Regex,
    strings: Option[Regex]
) {
  import Redaction._

  def redactOptions(named: Map[String, String]): Map[String, String] =
    options(named).map { case (name, value) =>
      name -> (if (isSecretName(name)) Hidden else redactCredentials(value))
    }

  def redactText(text: String): String = {
    val visible = redactCredentials(text)
    strings.fold(visible)(_.replaceAllIn(visible, Regex.quoteReplacement(Hidden)))
  }

  /** String literals that are secret by themselves are hidden, and literals beside a column with a secret name, or in one. */
  def redactLiterals(expression: Expression): Expression = expression.transformUp {
    case literal: Literal if isText(literal) && secret.findFirstIn(literal.value.toString).isDefined => HiddenLiteral
    case alias: Alias if isSecretName(alias.name) =>
      alias.mapChildren(_.transformUp { case _: Literal => HiddenLiteral })
    case parent if parent.children.exists(readsSecret) =>
      parent.mapChildren {
        case _: Literal => HiddenLiteral
        case child => child
      }
  }

  private def isText(literal: Literal): Boolean = literal.value != null && literal.dataType.isInstanceOf[StringType]

  private def readsSecret(expression: Expression): Boolean =
    expression.references.exists(column => isSecretName(column.name))

  private def isSecretName(name: String): Boolean =
    secret.findFirstIn(name).isDefined || SecretName.findFirstIn(name).isDefined

  private def redactCredentials(text: String): String = {
    val withoutUsers = Seq(UserInfo, Thin).foldLeft(text) { (visible, pattern) =>
      pattern.replaceAllIn(visible, m => Regex.quoteReplacement(s"${m.group(1)}$Hidden@"))
    }
    Assignment.replaceAllIn(withoutUsers, m => Regex.quoteReplacement(s"${m.group(1)}$Hidden"))
  }
}

private[key] object Redaction {

  /** As Spark writes it. */
  val Hidden = "*********(redacted)"
  private val HiddenLiteral = Literal(Hidden)

  private val SecretWords = "pass(?:word|wd|phrase)|pwd|secret|credential|private[._-]?key|api[._-]?key|" +
    "(?:access|account|shared|sas)[._-]?key|token|signature"
  private val SecretName = s"(?i)$SecretWords".r

  /** `scheme://user:password@` */
  private val UserInfo = "([a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\\s:]*:[^/@\\s]*@".r

  /** `thin:user/password@` of Oracle */
  private val Thin = "(jdbc:oracle:\\w+:)[^/@\\s]*/[^@\\s]*@".r

  /** `password=…` in a JDBC URL, a connection string or a query string */
  private val Assignment =
    s"(?i)((?:^|[?&;,\\s'\"(\\[])(?:[\\w.-]*(?:$SecretWords)[\\w.-]*|sig)=)[^&;,\\s\\])]+".r

  private val DefaultSecret = "(?i)secret|password|token|access[.]?key"

  def of(conf: SQLConf): Redaction = new Redaction(
    options = conf.redactOptions(_),
    secret = conf.getConfString("spark.redaction.regex", DefaultSecret).r,
    strings = conf.stringRedactionPattern
  )
}
