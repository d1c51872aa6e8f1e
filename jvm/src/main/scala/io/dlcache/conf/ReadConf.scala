package io.dlcache.conf

import java.time.ZoneId

import scala.util.Try

import io.dlcache.error.DlcacheErrors
import org.apache.spark.sql.catalyst.util.DateTimeUtils
import org.apache.spark.unsafe.types.UTF8String

/** What a read was asked for, resolved: option > session configuration > default. */
sealed abstract private[dlcache] class ReadConf

private[dlcache] object ReadConf {

  /** Which version of a dataset. */
  sealed trait AsOf
  final case class VersionAsOf(version: Long) extends AsOf

  /** The version that was current at this time, in microseconds since 1970. */
  final case class TimestampAsOf(micros: Long) extends AsOf

  /** A dataset, at a version or at its current one.
    *
    * @param hadoop settings of Hadoop for this read
    */
  final case class Dataset(path: String, asOf: Option[AsOf], hadoop: Map[String, String] = Map.empty) extends ReadConf

  /** The versions of a dataset. */
  final case class History(path: String, hadoop: Map[String, String]) extends ReadConf

  /** How the write went that carried this `request`. */
  final case class Outcome(request: String) extends ReadConf

  /** @param options of the read, names in any case
    * @param session all of the session's configuration
    */
  def of(options: Map[String, String], session: Map[String, String]): ReadConf = {
    options.find(_._1.equalsIgnoreCase("paths")).foreach { case (_, paths) =>
      throw DlcacheErrors.invalidOption(DlcacheOption.Path.name, paths, "one path: load each dataset and union them")
    }
    val parser = new OptionParser(options, session)
    parser.refuseUnknown(DlcacheOption.All.filter(_.onRead))
    (parser.text(DlcacheOption.Path), parser.text(DlcacheOption.Request)) match {
      case (Some(path), None) if parser.boolean(DlcacheOption.History) => History(path, HadoopOptions.of(options))
      case (Some(path), None) => Dataset(path, asOf(parser, session), HadoopOptions.of(options))
      case (None, Some(request)) => Outcome(request)
      case (Some(_), Some(request)) =>
        throw DlcacheErrors.invalidOption(DlcacheOption.Request.name, request, "without a path")
      case (None, None) => throw DlcacheErrors.pathRequired()
    }
  }

  private def asOf(parser: OptionParser, session: Map[String, String]): Option[AsOf] = {
    val zone = session.get("spark.sql.session.timeZone").fold(ZoneId.systemDefault())(DateTimeUtils.getZoneId)
    val asked = Seq(
      parser.positiveLong(DlcacheOption.Version).map(DlcacheOption.Version -> VersionAsOf(_)),
      parser.positiveLong(DlcacheOption.VersionAsOf).map(DlcacheOption.VersionAsOf -> VersionAsOf(_)),
      parser.parsed(DlcacheOption.TimestampAsOf)(micros(_, zone)).map(DlcacheOption.TimestampAsOf -> TimestampAsOf(_))
    ).flatten
    if (asked.map(_._2).distinct.size > 1) {
      val (first, second) = (asked.head._1, asked.last._1)
      throw DlcacheErrors.invalidOption(second.name, parser.text(second).mkString, s"no value beside '${first.name}'")
    }
    asked.headOption.map(_._2)
  }

  private def micros(text: String, zone: ZoneId): Option[Long] =
    Try(DateTimeUtils.stringToTimestamp(UTF8String.fromString(text), zone)).toOption.flatten
}
