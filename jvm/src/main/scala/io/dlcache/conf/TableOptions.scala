package io.dlcache.conf

import java.util.Locale

/** The options that a table was made with: those of a read or write by `format("dlcache")`, or those that a catalog keeps.
  *
  * @param values names in lower case
  * @param isOfCatalog whether a catalog keeps them, so that they serve reads and writes
  */
final private[dlcache] case class TableOptions private (values: Map[String, String], isOfCatalog: Boolean) {
  import TableOptions.lowerCaseKeys

  def path: Option[String] = values.get(DlcacheOption.Path.name)

  def request: Option[String] = values.get(DlcacheOption.Request.name)

  /** @param options of this one read, which win */
  def forRead(options: Map[String, String]): Map[String, String] = kept(_.onRead) ++ lowerCaseKeys(options)

  /** @param options of this one write, which win */
  def forWrite(options: Map[String, String]): Map[String, String] = kept(_.onWrite) ++ lowerCaseKeys(options)

  /** What serves this direction, and what is unknown, for it must be refused. A request names one write: a catalog keeps
    * that of `saveAsTable`, but it is over.
    */
  private def kept(serves: DlcacheOption => Boolean): Map[String, String] =
    if (!isOfCatalog) values
    else
      values.filter { case (name, _) =>
        DlcacheOption.All.find(_.name.equalsIgnoreCase(name)).forall(o => serves(o) && o != DlcacheOption.Request)
      }
}

private[dlcache] object TableOptions {
  private val OptionPrefix = "option."
  private val Provider = "provider"

  /** A catalog hands over the table's properties, its own and the user's, which are no options; the options are among
    * them with a prefix. It always names the provider.
    */
  def of(properties: Map[String, String]): TableOptions = {
    val lower = lowerCaseKeys(properties)
    if (!lower.contains(Provider)) TableOptions(lower, isOfCatalog = false)
    else {
      val options = lower.collect {
        case (name, value) if name.startsWith(OptionPrefix) => name.drop(OptionPrefix.length) -> value
      }
      val path = lower.get(DlcacheOption.Path.name).map(DlcacheOption.Path.name -> _)
      TableOptions(options ++ path, isOfCatalog = true)
    }
  }

  private def lowerCaseKeys(map: Map[String, String]) = map.map { case (name, value) =>
    name.toLowerCase(Locale.ROOT) -> value
  }
}
