package io.dlcache.conf

import java.util.Locale

import scala.util.Try

import io.dlcache.error.DlcacheErrors

/** Values of options as text → values with types. A given option wins over the session's
  * `spark.datasource.dlcache.<option>`, which wins over the default.
  *
  * @param options the options of this read or write, names in any case
  * @param session all of the session's configuration
  */
final private[conf] class OptionParser(options: Map[String, String], session: Map[String, String]) {
  import OptionParser._

  private val own = lowerCaseKeys(options)
  private val sessionOptions = lowerCaseKeys(session.collect {
    case (name, value) if name.toLowerCase(Locale.ROOT).startsWith(DlcacheOption.SessionPrefix) =>
      name.drop(DlcacheOption.SessionPrefix.length) -> value
  })

  /** Refuses what no option is called. `taken` are the options of this direction; an option of the other direction is
    * refused too, unless the session sets it: a session's configuration serves both. Hadoop's own settings pass.
    */
  def refuseUnknown(taken: Seq[DlcacheOption]): Unit = {
    val names = taken.map(o => lower(o.name)).toSet
    val known = DlcacheOption.All.map(o => lower(o.name)).toSet
    sessionOptions.keys.filterNot(known).foreach { name =>
      throw DlcacheErrors.unknownOption(DlcacheOption.SessionPrefix + name, taken.map(_.name))
    }
    HadoopOptions.without(own).keys.filterNot(names).foreach { name =>
      if (sessionOptions.get(name) != own.get(name)) {
        throw DlcacheErrors.unknownOption(original(name), taken.map(_.name))
      }
    }
  }

  def text(option: DlcacheOption): Option[String] =
    own.get(lower(option.name)).orElse(sessionOptions.get(lower(option.name))).map { value =>
      if (value.trim.isEmpty) throw invalid(option, value)
      value
    }

  def oneOf(option: DlcacheOption, values: Seq[String]): Option[String] =
    parsed(option)(value => Some(lower(value.trim)).filter(values.contains))

  def integer(option: DlcacheOption): Option[Long] = parsed(option)(_.trim.toLongOption)

  def positiveInt(option: DlcacheOption): Option[Int] = parsed(option)(_.trim.toIntOption.filter(_ > 0))

  def positiveLong(option: DlcacheOption): Option[Long] = parsed(option)(_.trim.toLongOption.filter(_ > 0))

  /** False by default. */
  def boolean(option: DlcacheOption): Boolean = parsed(option)(_.trim.toBooleanOption).getOrElse(false)

  /** Bytes as Spark writes them: `1024`, `64k`, `128m`, `1g`, also `64kb`. */
  def bytes(option: DlcacheOption, max: Long = Long.MaxValue): Option[Long] =
    parsed(option)(value => byteCount(value).filter(n => n > 0 && n <= max))

  /** Seconds from `45s`, `30m`, `12h`, `7d`, `2w`. */
  def seconds(option: DlcacheOption): Option[Long] = parsed(option)(secondCount(_).filter(_ > 0))

  def parsed[T](option: DlcacheOption)(parse: String => Option[T]): Option[T] =
    text(option).map(value => parse(value).getOrElse(throw invalid(option, value)))

  private def invalid(option: DlcacheOption, value: String) =
    DlcacheErrors.invalidOption(option.name, value, option.values)

  private def original(lowerCased: String) = options.keys.find(lower(_) == lowerCased).getOrElse(lowerCased)
}

private[conf] object OptionParser {
  private val Bytes = """(\d+)\s*([kmgt]?)b?""".r
  private val Span = """(\d+)\s*([smhdw])""".r

  private val Units = Map("" -> 1L, "k" -> (1L << 10), "m" -> (1L << 20), "g" -> (1L << 30), "t" -> (1L << 40))
  private val Spans = Map("s" -> 1L, "m" -> 60L, "h" -> 3600L, "d" -> 86400L, "w" -> 604800L)

  private[conf] def byteCount(text: String): Option[Long] = lower(text.trim) match {
    case Bytes(count, unit) => product(count, Units(unit))
    case _ => None
  }

  private[conf] def secondCount(text: String): Option[Long] = lower(text.trim) match {
    case Span(count, unit) => product(count, Spans(unit))
    case _ => None
  }

  private def product(count: String, unit: Long) = Try(Math.multiplyExact(count.toLong, unit)).toOption

  private def lower(text: String) = text.toLowerCase(Locale.ROOT)

  private def lowerCaseKeys(map: Map[String, String]) = map.map { case (name, value) => lower(name) -> value }
}
