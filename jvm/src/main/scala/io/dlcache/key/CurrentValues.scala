package io.dlcache.key

import scala.util.Try

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.optimizer.{ComputeCurrentTime, SpecialDatetimeValues}
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, OneRowRelation, Project}
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.catalyst.trees.TreePattern.CURRENT_LIKE
import org.apache.spark.sql.catalyst.util.DateTimeUtils
import org.apache.spark.sql.types.{DateType, StringType, TimestampNTZType, TimestampType}
import org.apache.spark.unsafe.types.UTF8String

/** Expressions that the optimizer replaces by a value of the moment or of the session, by Spark's own rules.
  *
  * @param sessionRules that replace the session's values; without them these are not known
  */
final private[key] class CurrentValues(sessionRules: Seq[Rule[LogicalPlan]]) {
  import CurrentValues._

  /** None if `expression` itself, not its children, is no such thing. */
  def of(expression: Expression): Option[Current] = expression match {
    case _: PlanExpression[_] => None
    case date: CurrentDate => Some(lasting(date, Seq(ComputeCurrentTime)))
    case zone: CurrentTimeZone => Some(lasting(zone, rules))
    case other if isCurrentLike(other) =>
      Some(if (SessionFunctions(other.prettyName)) lasting(other, rules) else Instant(ofTheClock = true))
    case cast: Cast => specialText(cast).map(ofText(cast, _))
    case _ => None
  }

  private def rules: Seq[Rule[LogicalPlan]] = ComputeCurrentTime +: sessionRules

  private def lasting(expression: Expression, rules: Seq[Rule[LogicalPlan]]): Current = {
    val query: LogicalPlan = Project(Seq(Alias(expression, "value")()), OneRowRelation())
    val isClock = expression.isInstanceOf[CurrentDate] || expression.isInstanceOf[Cast]
    rules.foldLeft(query)((plan, rule) => rule(plan)).expressions match {
      case Seq(Alias(literal: Literal, _)) => Lasting(literal)
      case _ => Instant(isClock)
    }
  }

  private def ofText(cast: Cast, text: String): Current =
    if (cast.dataType != DateType && text.trim.toLowerCase(java.util.Locale.ROOT).startsWith("now"))
      Instant(ofTheClock = true)
    else if (SpecialDates.matches(text)) lasting(cast, Seq(SpecialDatetimeValues))
    else Try(Lasting(Literal(cast.eval(), cast.dataType))).getOrElse(Instant(ofTheClock = true))

  /** A constant text that takes the time of the query when it is cast: 'now', 'today', ..., or a time without a date. */
  private def specialText(cast: Cast): Option[String] = {
    val toTime = cast.dataType match {
      case DateType | TimestampType | TimestampNTZType => true
      case _ => false
    }
    if (!toTime || !cast.child.foldable || !cast.child.dataType.isInstanceOf[StringType]) None
    else
      Try(cast.child.eval()).toOption.flatMap(Option(_)).map(_.toString).filter { text =>
        SpecialDates.matches(text) || (cast.dataType == TimestampType && hasNoDate(text))
      }
  }

  private def hasNoDate(text: String): Boolean =
    Try(DateTimeUtils.parseTimestampString(UTF8String.fromString(text))._3)
      .getOrElse(false)

  private def isCurrentLike(expression: Expression): Boolean =
    expression.containsPattern(CURRENT_LIKE) && !expression.children.exists(_.containsPattern(CURRENT_LIKE))
}

private[key] object CurrentValues {
  sealed trait Current

  /** A value that stays for a while: of the day, of the session. */
  final case class Lasting(value: Literal) extends Current

  /** Another value each time. */
  final case class Instant(ofTheClock: Boolean) extends Current

  private val SessionFunctions =
    Set("current_user", "user", "session_user", "current_database", "current_schema", "current_catalog", "current_path")
  private val SpecialDates = "(?is)\\s*(now|today|tomorrow|yesterday)\\b.*".r
}
