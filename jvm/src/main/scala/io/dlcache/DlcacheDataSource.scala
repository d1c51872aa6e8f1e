package io.dlcache

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.conf.{DlcacheOption, ReadConf, TableOptions, WriteConf}
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.Manifest
import io.dlcache.read.{History, HistoryTable}
import io.dlcache.write.{OutcomeTable, WriteOutcome}
import org.apache.spark.sql.{DataFrame, SQLContext, SaveMode, SparkSession}
import org.apache.spark.sql.connector.catalog.{SessionConfigSupport, Table, TableProvider}
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.sources.{BaseRelation, CreatableRelationProvider, DataSourceRegister}
import org.apache.spark.sql.types.{DataType, StructType}
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** `format("dlcache")`: the door. `save` comes in by `createRelation`, tables and reads by `getTable`.
  *
  * The provider is no plain DataSource V2 sink because of the cache: Spark runs the query of such a sink before the sink
  * can say that the rows are there already.
  */
final class DlcacheDataSource
    extends TableProvider
    with CreatableRelationProvider
    with DataSourceRegister
    with SessionConfigSupport {

  /** What `inferSchema` has read: Spark then asks the same instance for the table, which stays with it. */
  private var inferred: Option[Manifest] = None
  private var history: Option[ReadConf.History] = None

  override def shortName(): String = DlcacheOption.KeyPrefix

  override def keyPrefix(): String = DlcacheOption.KeyPrefix

  override def createRelation(
      context: SQLContext,
      mode: SaveMode,
      options: Map[String, String],
      data: DataFrame
  ): BaseRelation = {
    // Spark merges the session's configuration into the options of tables and reads, but not into these.
    new WriteCommand(mode, WriteConf.of(options, data.sparkSession.conf.getAll), data).run(): Unit
    new WrittenRelation(context, data.schema)
  }

  /** All of them: columns that cannot be stored are refused by name when the shards are laid out. */
  override def supportsDataType(dataType: DataType): Boolean = true

  /** Writes bring the schema of their DataFrame; to infer one there would fail where nothing is. */
  override def supportsExternalMetadata(): Boolean = true

  override def inferSchema(properties: CaseInsensitiveStringMap): StructType = {
    val options = TableOptions.of(properties.asCaseSensitiveMap.asScala.toMap)
    ReadConf.of(options.forRead(Map.empty), SparkSession.active.conf.getAll) match {
      case ReadConf.Outcome(_) => WriteOutcome.Schema
      case asked: ReadConf.History =>
        history = Some(asked)
        History.Schema
      case dataset: ReadConf.Dataset =>
        val manifest = DlcacheTable.open(dataset, SparkSession.active)
        inferred = Some(manifest)
        DlcacheTable.columns(manifest, dataset.path, SparkSession.active)
    }
  }

  /** Touches no file: Spark also calls this for a write to a path that does not exist. */
  override def getTable(
      schema: StructType,
      partitioning: Array[Transform],
      properties: util.Map[String, String]
  ): Table = {
    partitioning.headOption.foreach(transform => throw DlcacheErrors.partitioningUnsupported(method(transform)))
    val options = TableOptions.of(properties.asScala.toMap)
    (options.path, options.request, history) match {
      case (None, Some(request), _) => new OutcomeTable(request)
      case (_, _, Some(ReadConf.History(path, hadoop))) =>
        new HistoryTable(DlcacheTable.store(path, hadoop, SparkSession.active))
      case _ => new DlcacheTable(schema, options, inferred)
    }
  }

  private def method(transform: Transform) = transform.name match {
    case "identity" => "partitionBy"
    case "cluster_by" => "clusterBy"
    case "bucket" | "sorted_bucket" => "bucketBy"
    case other => s"partitioning by $other"
  }

  override def toString: String = shortName()
}

/** What `createRelation` must return; Spark asks it for nothing but the schema. */
final private[dlcache] class WrittenRelation(
    override val sqlContext: SQLContext,
    override val schema: StructType
) extends BaseRelation
