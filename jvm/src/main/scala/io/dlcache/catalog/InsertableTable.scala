package io.dlcache.catalog

import scala.jdk.CollectionConverters._

import io.dlcache.{DlcacheTable, DlcacheWriteBuilder}
import io.dlcache.conf.TableOptions
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.Manifest
import io.dlcache.read.ReadSchema
import io.dlcache.write.Alignment
import org.apache.spark.sql.SaveMode
import org.apache.spark.sql.connector.catalog.{SupportsRowLevelOperations, TruncatableTable}
import org.apache.spark.sql.connector.write.{
  LogicalWriteInfo,
  RowLevelOperationBuilder,
  RowLevelOperationInfo,
  WriteBuilder
}
import org.apache.spark.sql.types.StructType

/** A table that was there before the statement: what is written to it is appended, or replaces its rows. */
final private[catalog] class InsertableTable(declared: StructType, options: TableOptions, fixed: Option[Manifest])
    extends DlcacheTable(declared, options, fixed)
    with TruncatableTable
    with SupportsRowLevelOperations {

  /** A catalog keeps the schema of the query that made the table. If `dtype` made the dataset another, that one is read. */
  override lazy val schema: StructType =
    current.map(ReadSchema.of).filter(Alignment.differInFloats(declared, _)).getOrElse(declared)

  override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder =
    new DlcacheWriteBuilder(name(), options.forWrite(info.options.asCaseSensitiveMap.asScala.toMap), SaveMode.Append)

  /** Also `DELETE FROM` without a condition. */
  override def truncateTable(): Boolean = {
    new EmptyVersion(this).write()
    true
  }

  override def newRowLevelOperationBuilder(info: RowLevelOperationInfo): RowLevelOperationBuilder =
    throw DlcacheErrors.statementUnsupported(
      name(),
      if (info.command.name == "DELETE") "DELETE with a condition" else info.command.name,
      "its shards never change. Write all rows that it is to have with INSERT OVERWRITE"
    )
}
