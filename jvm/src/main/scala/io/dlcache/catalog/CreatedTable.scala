package io.dlcache.catalog

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.{DlcacheTable, DlcacheWriteBuilder}
import org.apache.spark.sql.SaveMode
import org.apache.spark.sql.connector.catalog.{StagedTable, TableCapability}
import org.apache.spark.sql.connector.write.{LogicalWriteInfo, WriteBuilder}

/** A table that the statement creates or replaces, which writes the rows of its query.
  *
  * @param mode `ErrorIfExists` if it creates the table: then a dataset of the same plan key is a hit. `Overwrite` if it
  *   replaces the table
  * @param drop undoes the creation
  */
final private[catalog] class CreatedTable(table: DlcacheTable, mode: SaveMode, drop: () => Unit)
    extends DlcacheTable(table.schema, table.options, None)
    with StagedTable {

  private var hasQuery = false

  /** Any schema: the columns are the query's, and Spark must not put a projection around it, which its key would show. */
  override def capabilities(): util.Set[TableCapability] =
    (super.capabilities().asScala.toSet + TableCapability.ACCEPT_ANY_SCHEMA).asJava

  override def newWriteBuilder(info: LogicalWriteInfo): WriteBuilder = {
    hasQuery = true
    new DlcacheWriteBuilder(name(), options.forWrite(info.options.asCaseSensitiveMap.asScala.toMap), mode)
  }

  /** `REPLACE TABLE` without a query replaces the rows by none. */
  override def commitStagedChanges(): Unit = if (!hasQuery) new EmptyVersion(this).write()

  override def abortStagedChanges(): Unit = drop()
}
