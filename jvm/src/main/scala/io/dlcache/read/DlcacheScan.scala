package io.dlcache.read

import io.dlcache.manifest.Manifest
import io.dlcache.read.raw.RawColumns
import io.dlcache.spark.ParquetReads
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.connector.metric.CustomMetric
import org.apache.spark.sql.connector.read.{Batch, Scan, Statistics, SupportsReportStatistics}
import org.apache.spark.sql.sources.Filter
import org.apache.spark.sql.types.{ArrayType, StructType, UserDefinedType}

/** A read of some columns of one version of a dataset.
  *
  * @param required what is read, vectors as vectors
  * @param filters what row groups may be skipped by
  * @param hadoop settings of Hadoop for this read
  */
final private[read] class DlcacheScan(
    path: Path,
    manifest: Manifest,
    required: StructType,
    filters: Seq[Filter],
    hadoop: Map[String, String]
) extends Scan
    with SupportsReportStatistics {

  private val stored = ReadSchema.stored(required, manifest)

  /** Row groups are skipped by what Parquet's footers say: with filters, its reader reads. */
  private lazy val raw = Option.when(filters.isEmpty)(RawColumns.of(stored, manifest)).flatten

  /** Spark takes the elements of arrays one at a time from a batch, and whole arrays from a row. */
  private lazy val isByRow = {
    val hasArrays = required.exists { field =>
      field.dataType match {
        case _: ArrayType | _: UserDefinedType[_] => true
        case _ => false
      }
    }
    raw.isDefined && hasArrays || !ParquetReads.supportsBatches(SparkSession.active, stored)
  }

  override def readSchema(): StructType = required

  override def estimateStatistics(): Statistics = ReadStatistics.of(manifest, stored)

  /** Known without planning, so that Spark need not plan all partitions to ask them. */
  override def columnarSupportMode(): Scan.ColumnarSupportMode =
    if (isByRow) Scan.ColumnarSupportMode.UNSUPPORTED else Scan.ColumnarSupportMode.SUPPORTED

  override lazy val toBatch: Batch = new DlcacheBatch(path, manifest, required, stored, filters, hadoop, raw, isByRow)

  override def supportedCustomMetrics(): Array[CustomMetric] = ReadMetrics.all

  override def description(): String = {
    val columns = required.fieldNames.mkString("[", ", ", "]")
    val pushed = filters.mkString("[", ", ", "]")
    s"dlcache $path (version=${manifest.version}, rows=${manifest.rows}, shards=${manifest.shards.size}, " +
      s"columns=$columns, pushed=$pushed)"
  }

  /** Equal scans give equal rows: Spark then reads once where a query reads twice. */
  override def equals(other: Any): Boolean = other match {
    case that: DlcacheScan => identity == that.identity
    case _ => false
  }

  override def hashCode(): Int = identity.hashCode()

  private def identity = (path, manifest.datasetId, manifest.version, required, filters)

  override def toString: String = description()
}
