package io.dlcache.conf

import io.dlcache.error.DlcacheErrors

/** What a read was asked for, resolved: option > session configuration > default. */
sealed abstract private[dlcache] class ReadConf

private[dlcache] object ReadConf {

  /** A dataset, at a version or at its current one. */
  final case class Dataset(path: String, version: Option[Long]) extends ReadConf

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
      case (Some(path), None) => Dataset(path, parser.positiveLong(DlcacheOption.Version))
      case (None, Some(request)) => Outcome(request)
      case (Some(_), Some(request)) =>
        throw DlcacheErrors.invalidOption(DlcacheOption.Request.name, request, "without a path")
      case (None, None) => throw DlcacheErrors.pathRequired()
    }
  }
}
