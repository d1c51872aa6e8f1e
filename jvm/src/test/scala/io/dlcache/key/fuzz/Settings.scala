package io.dlcache.key.fuzz

import scala.util.Try

import org.apache.spark.sql.{KeyTestAccess, SparkSession}

/** Every `spark.sql.*` setting of Spark's registry that a session can set, and other values that it takes. */
final private[fuzz] class Settings(session: SparkSession) {

  /** Names and values other than the present one. */
  val all: IndexedSeq[(String, String)] =
    KeyTestAccess.settings.sortBy(_.name).filterNot(setting => Settings.Ours.exists(setting.name.startsWith))
      .flatMap(setting => others(setting).map(setting.name -> _)).toIndexedSeq

  private def others(setting: KeyTestAccess.Setting): Seq[String] = {
    val present = Try(session.conf.get(setting.name)).getOrElse("")
    val candidates = setting.default match {
      case "true" | "false" => Seq("true", "false")
      case number if number.matches("-?[0-9]+(\\.[0-9]+)?") => Seq("0", "1", "2", "3", "7", "0.5")
      case size if size.matches("[0-9.]+[a-zA-Z]+") => Seq("1b", "100b", "4k", "1h")
      case _ => Settings.Word.findAllIn(setting.doc).toSeq.distinct.filter(_ => !accepts(setting.name, "no such value"))
    }
    val special = Settings.Special.getOrElse(setting.name, Nil)
    (candidates ++ special).filter(value => value != present && accepts(setting.name, value)).take(5)
  }

  private def accepts(name: String, value: String): Boolean =
    Try(Settings.holding(session, Map(name -> value))(())).isSuccess
}

private[fuzz] object Settings {

  /** What the fuzzer itself needs, and where tables are. */
  private val Ours = Seq("spark.sql.catalog", "spark.sql.warehouse", "spark.sql.extensions", "spark.sql.streaming.")
  private val Word = "\\b[A-Z][A-Za-z_]{2,}\\b|(?<=[`'\"])[a-z_]+(?=[`'\"])".r
  private val Special = Map(
    "spark.sql.session.timeZone" -> Seq("America/Los_Angeles", "Asia/Kolkata"),
    "spark.sql.columnNameOfCorruptRecord" -> Seq("bad"),
    "spark.sql.autoBroadcastJoinThreshold" -> Seq("-1"),
    "spark.sql.defaultCollation" -> Seq("UTF8_LCASE")
  )

  /** The smallest part of `group`, by halves, for which `holds`. */
  def smallest(group: Map[String, String])(holds: Map[String, String] => Boolean): Map[String, String] =
    if (group.size <= 1) group
    else {
      val (left, right) = group.splitAt(group.size / 2)
      if (holds(left)) smallest(left)(holds) else if (holds(right)) smallest(right)(holds) else group
    }

  /** Runs `body` under `settings`, and sets back what was there. */
  def holding[A](session: SparkSession, settings: Map[String, String])(body: => A): A = {
    val present = session.conf.getAll
    val before = settings.keys.map(name => name -> present.get(name)).toSeq
    try {
      settings.foreach { case (name, value) => session.conf.set(name, value) }
      body
    } finally
      before.foreach {
        case (name, Some(value)) => Try(session.conf.set(name, value)): Unit
        case (name, None) => session.conf.unset(name)
      }
  }
}
