package io.dlcache.spark

import java.util.Locale

import scala.jdk.CollectionConverters._
import scala.util.Try

import io.dlcache.DlcacheTable
import io.dlcache.conf.HadoopOptions
import org.apache.hadoop.fs.{EtagSource, FileStatus, Path}
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation
import org.apache.spark.sql.catalyst.expressions.{Attribute, Expression}
import org.apache.spark.sql.catalyst.plans.logical.{
  CollectMetrics,
  CommandResult,
  LocalRelation,
  LogicalPlan,
  Transpose
}
import org.apache.spark.sql.execution.{ExternalRDD, LogicalRDD}
import org.apache.spark.sql.execution.columnar.InMemoryRelation
import org.apache.spark.sql.execution.datasources.{FileIndex, HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.v2.{DataSourceV2Relation, FileTable}
import org.apache.spark.sql.types.StructType

/** What a leaf of a logical plan reads: Spark's relation classes in the few terms that the plan key needs. Only fields
  * that Spark 4.0 to 4.2 all have are touched, and by name, since the arity of these case classes changed between them.
  */
sealed private[dlcache] trait PlanLeaf

private[dlcache] object PlanLeaf {

  /** @param etag the store's own mark of this content, where the store gives one */
  final case class FileState(path: String, length: Long, modified: Long, etag: Option[String])

  object FileState {
    def of(file: FileStatus): FileState = {
      val etag = file match {
        case marked: EtagSource => Option(marked.getEtag).filter(_.nonEmpty)
        case _ => None
      }
      FileState(file.getPath.toString, file.getLen, file.getModificationTime, etag)
    }
  }

  final case class FilePartition(values: InternalRow, files: Seq[FileState])

  /** Files, read through an index that has listed them.
    *
    * @param format class of the reader
    * @param named files that the options name and the reader obeys, such as a schema
    * @param partitions what the relation's own index holds of the partitions that the plan reads: the files that will be
    *   read, not those that lie there now
    */
  final case class Files(
      format: String,
      dataSchema: StructType,
      partitionSchema: StructType,
      options: Map[String, String],
      bucketing: Option[String],
      roots: Seq[String],
      named: Seq[FileState],
      partitions: () => Seq[FilePartition]
  ) extends PlanLeaf

  /** A table that says which table it is and which state of it is read.
    *
    * @param id stays when the table changes, differs when it is dropped and made again
    * @param extra what else the relation holds, such as a time travel
    */
  final case class VersionedTable(
      kind: String,
      name: String,
      id: String,
      version: String,
      schema: StructType,
      options: Map[String, String],
      extra: Seq[Any]
  ) extends PlanLeaf

  /** Rows that are part of the plan. */
  final case class Rows(rows: Seq[InternalRow]) extends PlanLeaf

  /** Rows that PySpark keeps in the driver, as Python's values, if the function on their way changes nothing; `slices` says
    * how they are spread over partitions.
    */
  final case class PythonList(content: PythonRows.Pickled, slices: Int, rdd: Distributed) extends PlanLeaf

  /** As `PythonList`, of Arrow's batches. */
  final case class ArrowList(content: ArrowRows.Batches, rdd: Distributed) extends PlanLeaf

  /** A persisted plan: what is read is what `lineage` gave when it was persisted.
    *
    * @param identity these rows
    * @param planned the session that planned it. Spark clones the user's session for that, so its settings are those of
    *   the time of `persist`; with settings that make the clone unnecessary it is the user's own
    */
  final case class Persisted(lineage: LogicalPlan, identity: AnyRef, planned: Option[SparkSession]) extends PlanLeaf

  /** An RDD; `functions` are the Python functions in its lineage. */
  final case class Distributed(id: Int, description: String, functions: Seq[Product]) extends PlanLeaf

  /** A table or relation of which nothing durable is known; `identity` is it. */
  final case class Unversioned(description: String, identity: AnyRef) extends PlanLeaf

  /** The plan whose rows a write of `data` would store: where Spark would read persisted data, the persisted plan.
    *
    * That matters because Spark matches plans by their root paths. A DataFrame whose files were replaced since an equal
    * one was persisted gets the *persisted* rows, so its key must be made of the state that was persisted.
    * `alias` gives a new `QueryExecution`: that of `data` may have been resolved before something was persisted.
    */
  def executed(data: DataFrame): LogicalPlan =
    PartitionFilters.pushed(data.alias("data").queryExecution.withCachedData)

  /** The names of the metrics that a write of `data` would observe. Those of persisted rows came when they were persisted. */
  def observations(data: DataFrame): Seq[String] =
    executed(data).collectWithSubqueries { case observed: CollectMetrics => observed.name }

  /** The leaf that `plan` is, if it is one that reads something. */
  def of(plan: LogicalPlan): Option[PlanLeaf] = plan match {
    case local: LocalRelation => Some(Rows(local.data))
    case result: CommandResult => Some(Rows(result.rows))
    case transposed: Transpose => Some(Rows(transposed.data))
    case FilteredRelation(relation, filters) => relationOf(relation, filters)
    case _: LogicalRelation | _: DataSourceV2Relation => relationOf(plan, Nil)
    case memory: InMemoryRelation =>
      val builder = memory.cacheBuilder
      Some(Persisted(builder.logicalPlan, builder, Option(builder.cachedPlan.session)))
    case rdd: LogicalRDD =>
      val distributed = Distributed(rdd.rdd.id, describe(rdd.output), PythonFunctions.of(rdd.rdd))
      val list = PythonRows.of(rdd.rdd).map(PythonList(_, rdd.rdd.getNumPartitions, distributed))
      list.orElse(ArrowRows.of(rdd.rdd).map(ArrowList(_, distributed))).orElse(Some(distributed))
    case rdd: ExternalRDD[_] =>
      Some(Distributed(rdd.rdd.id, describe(rdd.output), PythonFunctions.of(rdd.rdd)))
    case hive: HiveTableRelation =>
      Some(Unversioned(s"Hive table ${hive.tableMeta.identifier.unquotedString}", hive.tableMeta))
    case _ => None
  }

  private def describe(output: Seq[Attribute]): String = output.map(_.name).mkString("[", ", ", "]")

  private def relationOf(plan: LogicalPlan, filters: Seq[Expression]): Option[PlanLeaf] = plan match {
    case relation: LogicalRelation => Some(v1(relation, filters))
    case relation: DataSourceV2Relation => Some(v2(relation, filters))
    case _ => None
  }

  private def v1(plan: LogicalRelation, filters: Seq[Expression]): PlanLeaf = plan.relation match {
    case files: HadoopFsRelation if KnownSources.isDelta(files) => deltaVersion(files).getOrElse(unknownFiles(files))
    case files: HadoopFsRelation if files.getClass != classOf[HadoopFsRelation] => unknownFiles(files)
    case files: HadoopFsRelation
        if KnownSources.isFormat(files.fileFormat.getClass) && KnownSources.isIndex(files.location) =>
      withNamedFiles(files.options, files) { named =>
        Files(
          files.fileFormat.getClass.getName,
          files.dataSchema,
          files.partitionSchema,
          files.options,
          files.bucketSpec.map(_.toString),
          files.location.rootPaths.map(_.toString),
          named,
          listing(files.location, filters)
        )
      }
    case files: HadoopFsRelation => unknownFiles(files)
    case other => Unversioned(s"${other.getClass.getName} $other", other)
  }

  private def unknownFiles(files: HadoopFsRelation): Unversioned = Unversioned(
    s"files of ${files.fileFormat.getClass.getName} through ${files.location.getClass.getName}, not both of which are " +
      "known to dlcache",
    files
  )

  private def v2(plan: DataSourceV2Relation, filters: Seq[Expression]): PlanLeaf = {
    val options = plan.options.asCaseSensitiveMap.asScala.toMap
    plan.table match {
      case dataset: DlcacheTable if dataset.version() != null =>
        val counted = HadoopOptions.without(options)
        VersionedTable("dlcache", plan.name, dataset.id(), dataset.version(), plan.schema, counted, extra(plan))
      case files: FileTable if KnownSources.isTable(files) && KnownSources.isIndex(files.fileIndex) =>
        val ofTable = files.properties.asScala.toMap ++ options
        withNamedFiles(ofTable, files) { named =>
          Files(
            files.fallbackFileFormat.getName,
            files.dataSchema,
            files.fileIndex.partitionSchema,
            ofTable,
            None,
            files.fileIndex.rootPaths.map(_.toString),
            named,
            listing(files.fileIndex, filters)
          )
        }
      case files: FileTable =>
        Unversioned(s"files of ${files.getClass.getName}, which is not known to dlcache", files)
      case table =>
        KnownSources.identity(table) match {
          case Some((id, version)) =>
            VersionedTable(table.getClass.getName, plan.name, id, version, plan.schema, options, extra(plan))
          case None => Unversioned(s"table ${plan.name} (${table.getClass.getName}), which reports no version", table)
        }
    }
  }

  private def extra(plan: DataSourceV2Relation): Seq[Any] = plan.productIterator.drop(5).toSeq

  /** Options of Avro and XML that name a file with a schema. */
  private val NamingOptions = Set("avroschemaurl", "rowvalidationxsdpath")

  /** A schema that is not where its option says may be a file that was given to the executors under that name. */
  private def withNamedFiles(
      options: Map[String, String],
      source: AnyRef
  )(leaf: Seq[FileState] => PlanLeaf): PlanLeaf = {
    val named = options.toSeq.collect {
      case (name, value) if NamingOptions(name.toLowerCase(Locale.ROOT)) => name -> value
    }
    val states = named.map { case (_, value) =>
      Try(new Path(value)).flatMap { path =>
        Try(FileState.of(path.getFileSystem(Sessions.hadoopConf(SparkSession.active)).getFileStatus(path)))
      }
    }
    if (states.forall(_.isSuccess)) leaf(states.map(_.get).sortBy(_.path))
    else Unversioned(s"the file of an option is not found: ${named.map(_._1).mkString(", ")}", source)
  }

  private def listing(index: FileIndex, filters: Seq[Expression]): () => Seq[FilePartition] = () =>
    PartitionListing.of(index, filters).map { partition =>
      FilePartition(partition.values, partition.files.map(file => FileState.of(file.fileStatus)))
    }

  /** Delta Lake's log index lists its files with a Spark job; the version of its snapshot says as much. Delta is not on
    * the class path of the build, so its methods are looked up by name.
    */
  private def deltaVersion(files: HadoopFsRelation): Option[VersionedTable] = {
    val index = files.location
    for {
      filters <- call(index, "partitionFilters") if filters == Nil
      snapshot <- call(index, "getSnapshot")
      version <- call(snapshot, "version")
      metadata <- call(snapshot, "metadata")
      id <- call(metadata, "id")
    } yield {
      val roots = index.rootPaths.mkString(",")
      VersionedTable("delta", roots, id.toString, version.toString, files.schema, files.options, Nil)
    }
  }

  private def call(target: AnyRef, name: String): Option[AnyRef] =
    target.getClass.getMethods.find(method => method.getName == name && method.getParameterCount == 0).flatMap {
      method =>
        method.setAccessible(true)
        Option(method.invoke(target))
    }
}
