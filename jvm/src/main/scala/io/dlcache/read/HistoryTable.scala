package io.dlcache.read

import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{DatasetStore, Manifest}
import io.dlcache.spark.PlainTable
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.catalog.{SupportsRead, TableCapability}
import org.apache.spark.sql.connector.read.{LocalScan, ScanBuilder}
import org.apache.spark.sql.types._
import org.apache.spark.sql.util.CaseInsensitiveStringMap
import org.apache.spark.unsafe.types.UTF8String

/** One row for each version of a dataset, the newest first. Reading it runs no Spark job. */
final private[dlcache] class HistoryTable(store: DatasetStore) extends PlainTable with SupportsRead {

  override def name(): String = s"history of dlcache ${store.path}"

  override def schema(): StructType = History.Schema

  override def capabilities(): util.Set[TableCapability] = Set(TableCapability.BATCH_READ).asJava

  override def newScanBuilder(options: CaseInsensitiveStringMap): ScanBuilder = () => new HistoryScan(store)
}

final private[read] class HistoryScan(store: DatasetStore) extends LocalScan {

  override def readSchema(): StructType = History.Schema

  override def rows(): Array[InternalRow] = History.of(store).map(History.row).toArray

  override def description(): String = s"history of dlcache ${store.path}"
}

/** The published versions of a dataset. */
private[dlcache] object History {

  val Schema: StructType = new StructType()
    .add("version", LongType, nullable = false)
    .add("timestamp", TimestampType, nullable = false)
    .add("dataset_id", StringType, nullable = false)
    .add("rows", LongType, nullable = false)
    .add("bytes", LongType, nullable = false)
    .add("shards", IntegerType, nullable = false)
    .add("key", StringType, nullable = false)
    .add("scope", StringType, nullable = false)
    .add("created_by", StringType, nullable = false)

  /** The newest first; read one after another, as they are asked for. */
  def of(store: DatasetStore): Iterator[Manifest] = {
    val versions = store.versions()
    if (versions.isEmpty) throw DlcacheErrors.notADataset(store.path.toString)
    versions.reverseIterator.map(store.read)
  }

  /** The version that was current at `micros`.
    *
    * @throws io.dlcache.error.DlcacheException DLCACHE_TIMESTAMP_NOT_FOUND, DLCACHE_NOT_A_DATASET
    */
  def at(store: DatasetStore, micros: Long): Manifest = {
    val newestFirst = LazyList.from(of(store))
    newestFirst.find(created(_) <= micros).getOrElse {
      throw DlcacheErrors.timestampNotFound(store.path.toString, instant(micros), newestFirst.last.createdAt)
    }
  }

  private[read] def row(manifest: Manifest): InternalRow = InternalRow(
    manifest.version,
    created(manifest),
    UTF8String.fromString(manifest.datasetId),
    manifest.rows,
    manifest.bytes,
    manifest.shards.size,
    UTF8String.fromString(manifest.planKey.digest),
    UTF8String.fromString(manifest.planKey.scope),
    UTF8String.fromString(manifest.createdBy)
  )

  private def created(manifest: Manifest): Long =
    ChronoUnit.MICROS.between(Instant.EPOCH, manifest.createdAt)

  private def instant(micros: Long) = Instant.EPOCH.plus(micros, ChronoUnit.MICROS)
}
