package io.dlcache.catalog

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.{DlcacheDataSource, DlcacheTable}
import io.dlcache.conf.{DlcacheOption, TableOptions}
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.Manifest
import io.dlcache.read.{History, HistoryTable}
import io.dlcache.spark.PlainCatalog
import io.dlcache.write.Alignment
import org.apache.spark.sql.{SaveMode, SparkSession}
import org.apache.spark.sql.catalyst.analysis.{NoSuchNamespaceException, NoSuchTableException}
import org.apache.spark.sql.connector.catalog._
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types.{StructField, StructType}

/** Spark's session catalog, with more statements for tables of dlcache. Set `spark.sql.catalog.spark_catalog` to this class.
  *
  * Tables of other sources are what they are without it. What is added for dlcache's: writes, which need to know whether
  * the statement creates the table; versions by number and by time; ``dlcache.`path` ``, `table.history`; and refusals.
  */
class DlcacheCatalog extends PlainCatalog {
  import DlcacheCatalog._

  override def loadTable(ident: Identifier): Table = ident match {
    case OfPath(path) => ofPath(path)
    case _ =>
      try known(ident)
      catch { case missing: NoSuchTableException => historyOf(ident).getOrElse(throw missing) }
  }

  override def loadTable(ident: Identifier, version: String): Table =
    atVersion(ident, super.loadTable(ident, version)) { table =>
      val number = version.toLongOption.filter(_ > 0).getOrElse {
        throw DlcacheErrors.invalidOption(DlcacheOption.VersionAsOf.name, version, DlcacheOption.VersionAsOf.values)
      }
      table.store.read(number)
    }

  override def loadTable(ident: Identifier, timestamp: Long): Table =
    atVersion(ident, super.loadTable(ident, timestamp))(table => History.at(table.store, timestamp))

  /** As in Delta, a table that is created with columns is a dataset from the start: its first version has no rows. */
  override def createTable(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String]
  ): Table =
    if (!isOurs(properties)) super.createTable(ident, columns, partitions, properties)
    else {
      val table = create(ident, columns, partitions, properties)
      orDropped(ident)(if (table.current.isEmpty) new EmptyVersion(table).write())
      table
    }

  override def stageCreate(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String]
  ): StagedTable = staged(ident, columns, partitions, properties, SaveMode.ErrorIfExists)

  override def stageCreateOrReplace(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String]
  ): StagedTable =
    if (tableExists(ident)) stageReplace(ident, columns, partitions, properties)
    else staged(ident, columns, partitions, properties, SaveMode.Overwrite)

  /** A table that keeps its columns, options and place gets a new version. Else it is dropped and created, as Spark does. */
  override def stageReplace(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String]
  ): StagedTable = known(ident) match {
    case there: DlcacheTable if isOurs(properties) && partitions.isEmpty && isSame(there, columns, properties) =>
      new CreatedTable(there, SaveMode.Overwrite, () => ())
    case _ =>
      dropTable(ident)
      staged(ident, columns, partitions, properties, SaveMode.Overwrite)
  }

  override def alterTable(ident: Identifier, changes: TableChange*): Table = known(ident) match {
    case table: DlcacheTable =>
      changes.foreach {
        case _: TableChange.SetProperty | _: TableChange.RemoveProperty =>
        case change => throw unsupported(table, change)
      }
      super.alterTable(ident, changes: _*)
    case _ => super.alterTable(ident, changes: _*)
  }

  /** The table of Spark's catalog. Under a catalog of a user Spark's would not ask data sources for their tables. */
  private def known(ident: Identifier): Table =
    if (ident.namespace.length != 1) throw new NoSuchTableException(ident)
    else {
      val conf = SQLConf.get.clone()
      conf.unsetConf(s"spark.sql.catalog.${name()}")
      SQLConf.withExistingConf(conf)(super.loadTable(ident)) match {
        case table: DlcacheTable =>
          // Spark hands data sources not all that it shows of a table: no comment, no owner.
          val shown = super.loadTable(ident).properties.asScala
          new InsertableTable(table.schema, TableOptions.of(table.options.properties ++ shown), None)
        case other => other
      }
    }

  private def ofPath(path: String): InsertableTable = {
    val options = TableOptions.of(Map(DlcacheOption.Path.name -> path))
    val session = SparkSession.active
    val store = DlcacheTable.store(path, Map.empty, session)
    val manifest = store.current().getOrElse(throw DlcacheErrors.notADataset(store.path.toString))
    new InsertableTable(DlcacheTable.columns(manifest, path, session), options, Some(manifest))
  }

  private def atVersion(ident: Identifier, unsupported: => Table)(version: DlcacheTable => Manifest): Table =
    loadTable(ident) match {
      case table: DlcacheTable =>
        val manifest = version(table)
        val columns = DlcacheTable.columns(manifest, table.store.path.toString, SparkSession.active)
        new DlcacheTable(columns, table.options, Some(manifest))
      case _ => unsupported
    }

  private def historyOf(ident: Identifier): Option[Table] = {
    val namespace = ident.namespace
    if (!ident.name.equalsIgnoreCase("history") || namespace.isEmpty) None
    else {
      val around =
        if (namespace.length > 1) namespace.init else Array(SparkSession.active.catalog.currentDatabase)
      try
        loadTable(Identifier.of(around, namespace.last)) match {
          case table: DlcacheTable => Some(new HistoryTable(table.store))
          case _ => None
        }
      catch { case _: NoSuchTableException | _: NoSuchNamespaceException => None }
    }
  }

  /** Null for tables of other sources, whereupon Spark writes to what [[loadTable]] gives. */
  private def staged(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String],
      mode: SaveMode
  ): StagedTable =
    if (isOurs(properties))
      new CreatedTable(create(ident, columns, partitions, properties), mode, () => dropTable(ident): Unit)
    else {
      super.createTable(ident, columns, partitions, properties)
      null
    }

  private def create(
      ident: Identifier,
      columns: Array[Column],
      partitions: Array[Transform],
      properties: util.Map[String, String]
  ): DlcacheTable = {
    val kept = properties.asScala.filterNot(_._1.startsWith(TableOptions.FactPrefix))
    val provided = Map(TableCatalog.PROP_PROVIDER -> DlcacheOption.KeyPrefix) ++ kept
    super.createTable(ident, columns, partitions, provided.asJava)
    orDropped(ident)(known(ident).asInstanceOf[DlcacheTable])
  }

  private def orDropped[T](ident: Identifier)(body: => T): T =
    try body
    catch {
      case e: Throwable =>
        dropTable(ident)
        throw e
    }

  private def isSame(there: DlcacheTable, columns: Array[Column], properties: util.Map[String, String]): Boolean = {
    val asked = TableOptions.of(properties.asScala.toMap ++ there.options.path.map("path" -> _))
    val place = Option(properties.get(TableCatalog.PROP_LOCATION))
    val schema = StructType(columns.map(column => StructField(column.name, column.dataType)))
    Alignment.bare(schema) == Alignment.bare(there.schema) &&
    asked.values == there.options.values &&
    place.fold(there.options.isManaged)(DlcacheTable.store(_, Map.empty, SparkSession.active).path == there.store.path)
  }
}

private[catalog] object DlcacheCatalog {

  /** ``dlcache.`path` ``. A table's name has no slash. */
  private object OfPath {
    def unapply(ident: Identifier): Option[String] =
      Option.when(ident.namespace.sameElements(Array(DlcacheOption.KeyPrefix)) && ident.name.contains('/'))(ident.name)
  }

  private def isOurs(properties: util.Map[String, String]): Boolean = {
    val provider = Option(properties.get(TableCatalog.PROP_PROVIDER)).getOrElse(SQLConf.get.defaultDataSourceName)
    DlcacheOption.KeyPrefix.equalsIgnoreCase(provider) || classOf[DlcacheDataSource].getName == provider
  }

  private def unsupported(table: DlcacheTable, change: TableChange) = {
    val what = change.getClass.getSimpleName.replaceAll("([a-z])([A-Z])", "$1 $2").toUpperCase(util.Locale.ROOT)
    DlcacheErrors.statementUnsupported(
      table.name(),
      s"ALTER TABLE ($what)",
      "its columns are those of its dataset. Replace it with CREATE OR REPLACE TABLE ... AS SELECT"
    )
  }
}
