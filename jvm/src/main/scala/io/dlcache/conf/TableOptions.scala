package io.dlcache.conf

import java.util.Locale

import org.apache.spark.sql.connector.catalog.TableCatalog

/** The options that a table was made with: those of a read or write by `format("dlcache")`, or those that a catalog keeps.
  *
  * @param values names in lower case, but for Hadoop's
  * @param properties of the table if a catalog keeps it, as they were given. Then the options serve reads and writes
  */
final private[dlcache] case class TableOptions private (
    values: Map[String, String],
    properties: Map[String, String],
    isOfCatalog: Boolean
) {
  import TableOptions.{lowerCaseKeys, FactPrefix}

  def path: Option[String] = values.get(DlcacheOption.Path.name)

  def request: Option[String] = values.get(DlcacheOption.Request.name)

  def hadoop: Map[String, String] = HadoopOptions.of(values)

  /** Whether the catalog chose the location. */
  def isManaged: Boolean =
    isOfCatalog && (properties.contains(TableCatalog.PROP_IS_MANAGED_LOCATION) ||
      !properties.contains(TableCatalog.PROP_EXTERNAL) && !properties.contains(TableCatalog.PROP_LOCATION))

  /** The properties as the catalog keeps them, without what is computed. */
  def keptProperties: Map[String, String] =
    properties.filterNot { case (name, _) => name == DlcacheOption.Path.name || name.startsWith(FactPrefix) }

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

  /** Of the properties that say what the dataset is. They are computed, never kept. */
  val FactPrefix = "dlcache."

  /** A catalog hands over the table's properties, its own and the user's, which are no options; the options are among
    * them with a prefix. It always names the provider.
    */
  def of(properties: Map[String, String]): TableOptions = {
    val lower = lowerCaseKeys(properties)
    if (!lower.contains(TableCatalog.PROP_PROVIDER)) TableOptions(lower, Map.empty, isOfCatalog = false)
    else {
      val options = properties.collect {
        case (name, value) if name.toLowerCase(Locale.ROOT).startsWith(TableCatalog.OPTION_PREFIX) =>
          name.drop(TableCatalog.OPTION_PREFIX.length) -> value
      }
      val path = lower.get(DlcacheOption.Path.name).map(DlcacheOption.Path.name -> _)
      TableOptions(lowerCaseKeys(options) ++ path, properties, isOfCatalog = true)
    }
  }

  private def lowerCaseKeys(map: Map[String, String]) = map.map { case (name, value) =>
    (if (HadoopOptions.isOne(name)) name else name.toLowerCase(Locale.ROOT)) -> value
  }
}
