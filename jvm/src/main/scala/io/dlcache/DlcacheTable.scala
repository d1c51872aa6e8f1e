package io.dlcache

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.conf.{ReadConf, TableOptions}
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{DatasetStore, Manifest}
import io.dlcache.read.{DlcacheScanBuilder, History, ReadSchema}
import io.dlcache.spark.{PlainTable, Sessions}
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.util.CharVarcharUtils
import org.apache.spark.sql.connector.catalog.{SupportsRead, SupportsWrite, TableCapability, TableCatalog}
import org.apache.spark.sql.connector.read.ScanBuilder
import org.apache.spark.sql.connector.write.{LogicalWriteInfo, WriteBuilder}
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** A dataset, there or not yet, as Spark reads it without dlcache's catalog. It reads the manifest once, when first asked,
  * and stays with that version.
  *
  * @param declared the schema by `inferSchema`, by the user or by a catalog; for a write, that of the DataFrame
  * @param fixed the version to stay with, if it was read before
  */
private[dlcache] class DlcacheTable(
    declared: StructType,
    val options: TableOptions,
    fixed: Option[Manifest]
) extends PlainTable
    with SupportsRead
    with SupportsWrite {

  protected lazy val session: SparkSession = SparkSession.active

  /** The version that is current when it is first asked for, if there is a dataset. */
  lazy val current: Option[Manifest] = fixed.orElse(options.path.flatMap(_ => store.current()))

  def store: DatasetStore =
    DlcacheTable.store(options.path.getOrElse(throw DlcacheErrors.pathRequired()), options.hadoop, session)

  override def name(): String = s"dlcache ${options.path.getOrElse("without a path")}"

  override def schema: StructType = declared

  override def capabilities(): util.Set[TableCapability] = DlcacheTable.Capabilities

  /** With [[version]], what a plan over this table reads: plan keys are made of it. Spark 4.0 does not ask. */
  override def id(): String =
    current.map(_ => DlcacheTable.qualified(options.path.get, options.hadoop, session).toString).orNull

  override def version(): String = current.map(manifest => s"${manifest.datasetId}/${manifest.version}").orNull

  /** What `DESCRIBE EXTENDED` and `SHOW CREATE TABLE` show: what the catalog keeps, and the facts of the dataset. */
  override lazy val properties: util.Map[String, String] = {
    val location = options.path.map(TableCatalog.PROP_LOCATION -> _).toMap
    val managed =
      if (options.isManaged) Map(TableCatalog.PROP_IS_MANAGED_LOCATION -> "true") else Map.empty[String, String]
    val facts = current.fold(Map.empty[String, String])(DlcacheTable.facts)
    (Map(TableCatalog.PROP_PROVIDER -> "dlcache") ++ location ++ managed ++ options.keptProperties ++ facts).asJava
  }

  override def newScanBuilder(scanOptions: CaseInsensitiveStringMap): ScanBuilder =
    ReadConf.of(options.forRead(scanOptions.asCaseSensitiveMap.asScala.toMap), session.conf.getAll) match {
      case dataset: ReadConf.Dataset =>
        val there = fixed.orElse(if (dataset.asOf.isEmpty) current else None)
        scanBuilder(dataset, there.getOrElse(DlcacheTable.open(dataset, session)))
      case ReadConf.History(path, _) =>
        throw DlcacheErrors.schemaMismatch(path, "*", "is given, and a history has columns of its own")
      case ReadConf.Outcome(request) => throw DlcacheErrors.unknownRequest(request)
    }

  private def scanBuilder(dataset: ReadConf.Dataset, manifest: Manifest): ScanBuilder = {
    val path = DlcacheTable.qualified(dataset.path, dataset.hadoop, session)
    val columns = DlcacheTable.columns(manifest, path.toString, session)
    ReadSchema.mismatch(CharVarcharUtils.replaceCharVarcharWithStringInSchema(schema), columns).foreach { mismatch =>
      throw DlcacheErrors.schemaMismatch(path.toString, mismatch.column, mismatch.reason)
    }
    new DlcacheScanBuilder(path, manifest, dataset.hadoop)
  }

  /** Only [[io.dlcache.catalog.DlcacheCatalog]] knows whether a statement creates the table or inserts into it. */
  override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder = throw DlcacheErrors.catalogRequired(name())

  override def toString: String = name()
}

private[dlcache] object DlcacheTable {

  /** No `BATCH_WRITE`: writes are V1 writes, which are handed the query. */
  val Capabilities: util.Set[TableCapability] =
    Set(TableCapability.BATCH_READ, TableCapability.V1_BATCH_WRITE, TableCapability.TRUNCATE).asJava

  /** @throws io.dlcache.error.DlcacheException DLCACHE_NOT_A_DATASET, DLCACHE_VERSION_NOT_FOUND */
  def open(dataset: ReadConf.Dataset, session: SparkSession): Manifest = {
    val there = store(dataset.path, dataset.hadoop, session)
    val asked = dataset.asOf.map {
      case ReadConf.VersionAsOf(version) => there.read(version)
      case ReadConf.TimestampAsOf(micros) => History.at(there, micros)
    }
    asked.orElse(there.current()).getOrElse(throw DlcacheErrors.notADataset(there.path.toString))
  }

  /** What Spark reads of `manifest`.
    *
    * @throws io.dlcache.error.DlcacheException DLCACHE_AMBIGUOUS_COLUMNS
    */
  def columns(manifest: Manifest, path: String, session: SparkSession): StructType = {
    val schema = ReadSchema.of(manifest)
    if (!Sessions.isCaseSensitive(session))
      ReadSchema.ambiguous(schema).foreach { case (a, b) => throw DlcacheErrors.ambiguousColumns(path, a, b) }
    schema
  }

  def store(path: String, hadoop: Map[String, String], session: SparkSession): DatasetStore =
    new DatasetStore(qualified(path, hadoop, session), Sessions.hadoopConf(session, hadoop))

  private def qualified(path: String, hadoop: Map[String, String], session: SparkSession): Path = {
    val location = new Path(path)
    location.getFileSystem(Sessions.hadoopConf(session, hadoop)).makeQualified(location)
  }

  private def facts(manifest: Manifest): Map[String, String] = Map(
    "version" -> manifest.version.toString,
    "rows" -> manifest.rows.toString,
    "bytes" -> manifest.bytes.toString,
    "shards" -> manifest.shards.size.toString,
    "key" -> s"${manifest.planKey.digest} (${manifest.planKey.scope})"
  ).map { case (name, value) => TableOptions.FactPrefix + name -> value }
}
