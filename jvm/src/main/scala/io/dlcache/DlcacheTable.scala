package io.dlcache

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.conf.{ReadConf, TableOptions}
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{DatasetStore, Manifest}
import io.dlcache.read.{DlcacheScanBuilder, ReadSchema}
import io.dlcache.spark.{PlainTable, Sessions, TableStatement}
import io.dlcache.write.Alignment
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.connector.catalog.{SupportsRead, SupportsWrite, TableCapability}
import org.apache.spark.sql.connector.read.ScanBuilder
import org.apache.spark.sql.connector.write.{LogicalWriteInfo, WriteBuilder}
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** A dataset, there or not yet. It reads the manifest once, when first asked, and stays with that version.
  *
  * @param declared the schema by `inferSchema`, by the user or by a catalog; for a write, that of the DataFrame
  * @param inferred the version that `inferSchema` has read, if it has
  */
final private[dlcache] class DlcacheTable(declared: StructType, options: TableOptions, inferred: Option[Manifest])
    extends PlainTable
    with SupportsRead
    with SupportsWrite {

  private lazy val session = SparkSession.active

  /** The version that is current when it is first asked for, if there is a dataset. */
  private lazy val current: Option[Manifest] =
    inferred.orElse(options.path.flatMap(DlcacheTable.store(_, session).current()))

  override def name(): String = s"dlcache ${options.path.getOrElse("without a path")}"

  /** A catalog keeps the schema of the query that made the table. If `dtype` made the dataset another, that one is read. */
  override lazy val schema: StructType =
    if (!options.isOfCatalog || TableStatement.createsTable(session.sparkContext)) declared
    else current.map(ReadSchema.of).filter(Alignment.differInFloats(declared, _)).getOrElse(declared)

  override def capabilities(): util.Set[TableCapability] = DlcacheTable.Capabilities

  /** With [[version]], what a plan over this table reads: plan keys are made of it. Spark 4.0 does not ask. */
  override def id(): String = current.map(_ => DlcacheTable.qualified(options.path.get, session).toString).orNull

  override def version(): String = current.map(manifest => s"${manifest.datasetId}/${manifest.version}").orNull

  override def newScanBuilder(scanOptions: CaseInsensitiveStringMap): ScanBuilder =
    ReadConf.of(options.forRead(scanOptions.asScala.toMap), session.conf.getAll) match {
      case dataset: ReadConf.Dataset =>
        val manifest = inferred
          .orElse(if (dataset.version.isEmpty) current else None)
          .getOrElse(DlcacheTable.open(dataset, session))
        val path = DlcacheTable.qualified(dataset.path, session)
        ReadSchema.mismatch(schema, ReadSchema.of(manifest)).foreach { mismatch =>
          throw DlcacheErrors.schemaMismatch(path.toString, mismatch.column, mismatch.reason)
        }
        new DlcacheScanBuilder(path, manifest)
      case ReadConf.Outcome(request) => throw DlcacheErrors.unknownRequest(request)
    }

  override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder =
    new DlcacheWriteBuilder(name(), schema, options.forWrite(info.options.asScala.toMap))

  override def toString: String = name()
}

private[dlcache] object DlcacheTable {

  /** No `BATCH_WRITE`: writes are V1 writes, which are handed the query. Any schema: [[write.TableInsert]] fits it. */
  private val Capabilities: util.Set[TableCapability] = Set(
    TableCapability.BATCH_READ,
    TableCapability.V1_BATCH_WRITE,
    TableCapability.TRUNCATE,
    TableCapability.ACCEPT_ANY_SCHEMA
  ).asJava

  /** @throws io.dlcache.error.DlcacheException DLCACHE_NOT_A_DATASET, DLCACHE_VERSION_NOT_FOUND */
  def open(dataset: ReadConf.Dataset, session: SparkSession): Manifest = {
    val there = store(dataset.path, session)
    dataset.version.map(there.read).orElse(there.current()).getOrElse {
      throw DlcacheErrors.notADataset(qualified(dataset.path, session).toString)
    }
  }

  private def store(path: String, session: SparkSession): DatasetStore =
    new DatasetStore(qualified(path, session), Sessions.hadoopConf(session))

  private def qualified(path: String, session: SparkSession): Path = {
    val location = new Path(path)
    location.getFileSystem(Sessions.hadoopConf(session)).makeQualified(location)
  }
}
