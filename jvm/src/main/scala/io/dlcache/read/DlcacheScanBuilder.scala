package io.dlcache.read

import io.dlcache.manifest.Manifest
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.connector.expressions.NamedReference
import org.apache.spark.sql.connector.expressions.aggregate.{AggregateFunc, Aggregation, Count, CountStar}
import org.apache.spark.sql.connector.read.{Scan, ScanBuilder, SupportsPushDownAggregates, SupportsPushDownFilters}
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns
import org.apache.spark.sql.sources.Filter
import org.apache.spark.sql.types.StructType

/** Takes what Spark's optimizer can tell about a query, and makes the scan of one version of a dataset.
  *
  * @param path of the dataset
  * @param hadoop settings of Hadoop for this read
  */
final private[dlcache] class DlcacheScanBuilder(path: Path, manifest: Manifest, hadoop: Map[String, String])
    extends ScanBuilder
    with SupportsPushDownRequiredColumns
    with SupportsPushDownFilters
    with SupportsPushDownAggregates {

  private var required: StructType = ReadSchema.of(manifest)
  private var filters: Array[Filter] = Array.empty
  private var counts: Option[Seq[Long]] = None

  override def pruneColumns(requiredSchema: StructType): Unit = required = requiredSchema

  /** Row groups are skipped by their statistics, rows are not: Spark still applies every filter. */
  override def pushFilters(all: Array[Filter]): Array[Filter] = {
    val reshaped = ReadSchema.reshapedPaths(manifest).map(_.head) ++ ReadSchema.elements(manifest).keySet
    filters = all.filter(_.v2references.forall(reference => !reshaped(reference.head)))
    all
  }

  override def pushedFilters(): Array[Filter] = filters

  override def supportCompletePushDown(aggregation: Aggregation): Boolean = countAll(aggregation).isDefined

  /** Spark asks only if no filter is left to apply. */
  override def pushAggregation(aggregation: Aggregation): Boolean = {
    counts = countAll(aggregation)
    counts.isDefined
  }

  override def build(): Scan = counts match {
    case Some(values) => new DlcacheCountScan(path, manifest, values)
    case None => new DlcacheScan(path, manifest, required, filters.toSeq, hadoop)
  }

  /** `count(*)` and `count(column)` of whole columns, which the manifest knows. */
  private def countAll(aggregation: Aggregation): Option[Seq[Long]] =
    if (aggregation.groupByExpressions.nonEmpty) None
    else {
      val known = aggregation.aggregateExpressions.toSeq.map(count)
      Option.when(known.forall(_.isDefined))(known.flatten)
    }

  /** Packed columns have no nulls. */
  private def presentRows(path: Seq[String]): Option[Long] =
    if (path.size == 1 && ReadSchema.elements(manifest).contains(path.head)) Some(manifest.rows)
    else manifest.columns.find(_.path == path).map(manifest.rows - _.nulls)

  private def count(function: AggregateFunc): Option[Long] = function match {
    case _: CountStar => Some(manifest.rows)
    case count: Count if !count.isDistinct =>
      count.column match {
        case reference: NamedReference => presentRows(reference.fieldNames.toSeq)
        case _ => None
      }
    case _ => None
  }
}
