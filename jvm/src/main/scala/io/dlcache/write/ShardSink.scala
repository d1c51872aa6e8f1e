package io.dlcache.write

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.spark.PlainTable
import org.apache.spark.sql.connector.catalog.{SupportsWrite, Table, TableCapability, TableProvider}
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.connector.write.{LogicalWriteInfo, WriteBuilder}
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** The inner write: an ordinary DataSource V2 sink for shards. It publishes nothing; [[ShardJob]] uses it, nobody else. */
final private[dlcache] class ShardSink extends TableProvider {

  override def supportsExternalMetadata(): Boolean = true

  override def inferSchema(options: CaseInsensitiveStringMap): StructType =
    ShardJob(options.get(ShardSink.JobOption)).schema

  override def getTable(
      schema: StructType,
      partitioning: Array[Transform],
      properties: util.Map[String, String]
  ): Table =
    new ShardSinkTable(ShardJob(new CaseInsensitiveStringMap(properties).get(ShardSink.JobOption)))
}

private[dlcache] object ShardSink {
  val JobOption = "job"
}

final private[write] class ShardSinkTable(job: ShardJob) extends PlainTable with SupportsWrite {

  override def name(): String = s"shards of ${job.dataset}"

  override def schema(): StructType = job.schema

  /** Any schema: Spark must not cast, reorder or check lengths of what it hands over. */
  override def capabilities(): util.Set[TableCapability] =
    Set(TableCapability.BATCH_WRITE, TableCapability.ACCEPT_ANY_SCHEMA).asJava

  override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder = new ShardWriteBuilder(job)

  override def toString: String = name()
}
