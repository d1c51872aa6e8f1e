package io.dlcache.spark

import scala.jdk.CollectionConverters._
import scala.util.Try

import io.dlcache.DlcacheTable
import io.dlcache.conf.HadoopOptions
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation
import org.apache.spark.sql.catalyst.expressions.Attribute
import org.apache.spark.sql.catalyst.plans.logical.{
  CollectMetrics,
  CommandResult,
  LocalRelation,
  LogicalPlan,
  Transpose
}
import org.apache.spark.sql.connector.catalog.Table
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

  final case class FileState(path: String, length: Long, modified: Long)
  final case class FilePartition(values: InternalRow, files: Seq[FileState])

  /** Files, read through an index that has listed them.
    *
    * @param format class of the reader
    * @param partitions what the relation's own index holds: the files that will be read, not those that lie there now
    */
  final case class Files(
      format: String,
      dataSchema: StructType,
      partitionSchema: StructType,
      options: Map[String, String],
      bucketing: Option[String],
      roots: Seq[String],
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

  /** Rows that PySpark keeps in the driver, as Python's values; `slices` says how they are spread over partitions. */
  final case class PythonList(rows: () => Iterator[Any], slices: Int, rdd: Distributed) extends PlanLeaf

  /** As `PythonList`, of Arrow's batches. */
  final case class ArrowList(content: ArrowRows.Batches, rdd: Distributed) extends PlanLeaf

  /** A persisted plan: what is read is what `lineage` gave when it was persisted; `identity` is these rows. */
  final case class Persisted(lineage: LogicalPlan, identity: AnyRef) extends PlanLeaf

  /** An RDD. */
  final case class Distributed(id: Int, description: String) extends PlanLeaf

  /** A table or relation of which nothing durable is known; `identity` is it. */
  final case class Unversioned(description: String, identity: AnyRef) extends PlanLeaf

  /** The plan whose rows a write of `data` would store: where Spark would read persisted data, the persisted plan.
    *
    * That matters because Spark matches plans by their root paths. A DataFrame whose files were replaced since an equal
    * one was persisted gets the *persisted* rows, so its key must be made of the state that was persisted.
    * `alias` gives a new `QueryExecution`: that of `data` may have been resolved before something was persisted.
    */
  def executed(data: DataFrame): LogicalPlan = data.alias("data").queryExecution.withCachedData

  /** The names of the metrics that a write of `data` would observe. Those of persisted rows came when they were persisted. */
  def observations(data: DataFrame): Seq[String] =
    executed(data).collectWithSubqueries { case observed: CollectMetrics => observed.name }

  /** The leaf that `plan` is, if it is one that reads something. */
  def of(plan: LogicalPlan): Option[PlanLeaf] = plan match {
    case local: LocalRelation => Some(Rows(local.data))
    case result: CommandResult => Some(Rows(result.rows))
    case transposed: Transpose => Some(Rows(transposed.data))
    case relation: LogicalRelation => Some(v1(relation))
    case relation: DataSourceV2Relation => Some(v2(relation))
    case memory: InMemoryRelation => Some(Persisted(memory.cacheBuilder.logicalPlan, memory.cacheBuilder))
    case rdd: LogicalRDD =>
      val distributed = Distributed(rdd.rdd.id, describe(rdd.output))
      val list = PythonRows.of(rdd.rdd).map(PythonList(_, rdd.rdd.getNumPartitions, distributed))
      list.orElse(ArrowRows.of(rdd.rdd).map(ArrowList(_, distributed))).orElse(Some(distributed))
    case rdd: ExternalRDD[_] => Some(Distributed(rdd.rdd.id, describe(rdd.output)))
    case hive: HiveTableRelation =>
      Some(Unversioned(s"Hive table ${hive.tableMeta.identifier.unquotedString}", hive.tableMeta))
    case _ => None
  }

  private def describe(output: Seq[Attribute]): String = output.map(_.name).mkString("[", ", ", "]")

  private def v1(plan: LogicalRelation): PlanLeaf = plan.relation match {
    case files: HadoopFsRelation =>
      deltaVersion(files).getOrElse(
        Files(
          files.fileFormat.getClass.getName,
          files.dataSchema,
          files.partitionSchema,
          files.options,
          files.bucketSpec.map(_.toString),
          files.location.rootPaths.map(_.toString),
          listing(files.location)
        )
      )
    case other => Unversioned(s"${other.getClass.getName} $other", other)
  }

  private def v2(plan: DataSourceV2Relation): PlanLeaf = {
    val options = plan.options.asCaseSensitiveMap.asScala.toMap
    plan.table match {
      case dataset: DlcacheTable if dataset.version() != null =>
        val counted = HadoopOptions.without(options)
        VersionedTable("dlcache", plan.name, dataset.id(), dataset.version(), plan.schema, counted, extra(plan))
      case files: FileTable =>
        Files(
          files.fallbackFileFormat.getName,
          files.dataSchema,
          files.fileIndex.partitionSchema,
          files.properties.asScala.toMap ++ options,
          None,
          files.fileIndex.rootPaths.map(_.toString),
          listing(files.fileIndex)
        )
      case table =>
        val identity = for (id <- property(table, "id"); version <- property(table, "version")) yield (id, version)
        identity match {
          case Some((id, version)) =>
            VersionedTable(table.getClass.getName, plan.name, id, version, plan.schema, options, extra(plan))
          case None => Unversioned(s"table ${plan.name} (${table.getClass.getName}), which reports no version", table)
        }
    }
  }

  private def extra(plan: DataSourceV2Relation): Seq[Any] = plan.productIterator.drop(5).toSeq

  private def listing(index: FileIndex): () => Seq[FilePartition] = () =>
    index.listFiles(Nil, Nil).map { partition =>
      FilePartition(
        partition.values,
        partition.files.map(file => FileState(file.getPath.toString, file.getLen, file.getModificationTime))
      )
    }

  /** Delta Lake's log index lists its files with a Spark job; the version of its snapshot says as much. Delta is not on
    * the class path of the build, so its methods are looked up by name; without them the files are listed.
    */
  private def deltaVersion(files: HadoopFsRelation): Option[VersionedTable] = {
    val index = files.location
    if (index.getClass.getName != "org.apache.spark.sql.delta.files.TahoeLogFileIndex") None
    else
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

  /** `Table.id()` and `Table.version()` came with Spark 4.1; a table may have them on 4.0 too. Null means that it has no
    * such thing, and a table that cannot say counts as one that has not.
    */
  private def property(table: Table, name: String): Option[String] =
    Try(call(table, name)).toOption.flatten.map(_.toString)

  private def call(target: AnyRef, name: String): Option[AnyRef] =
    target.getClass.getMethods.find(method => method.getName == name && method.getParameterCount == 0).flatMap {
      method =>
        method.setAccessible(true)
        Option(method.invoke(target))
    }
}
