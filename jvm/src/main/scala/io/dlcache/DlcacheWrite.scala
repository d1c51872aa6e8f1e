package io.dlcache

import io.dlcache.conf.{IfAppended, WriteConf}
import org.apache.spark.sql.{DataFrame, SaveMode}
import org.apache.spark.sql.connector.write.{SupportsTruncate, V1Write, Write, WriteBuilder}
import org.apache.spark.sql.sources.InsertableRelation

/** A write to a table of [[io.dlcache.catalog.DlcacheCatalog]]: `saveAsTable`, `insertInto`, `INSERT`,
  * `CREATE TABLE ... AS SELECT`.
  *
  * It is a V1 write because only such a write is handed the query itself, unexecuted.
  *
  * @param options of the table and of this write
  * @param mode of a write that does not overwrite
  */
final private[dlcache] class DlcacheWriteBuilder(table: String, options: Map[String, String], mode: SaveMode)
    extends WriteBuilder
    with SupportsTruncate {

  override def truncate(): WriteBuilder = new DlcacheWriteBuilder(table, options, SaveMode.Overwrite)

  override def build(): Write = new DlcacheWrite(table, options, mode)
}

final private[dlcache] class DlcacheWrite(table: String, options: Map[String, String], mode: SaveMode) extends V1Write {

  /** A statement that is run again inserts its rows again, as for any other table, unless an option says otherwise. */
  override def toInsertableRelation: InsertableRelation = (data: DataFrame, _: Boolean) => {
    val conf = WriteConf.of(options, data.sparkSession.conf.getAll, IfAppended.Append)
    new WriteCommand(mode, conf, data).run(): Unit
  }

  override def description(): String = s"$table, mode $mode"

  override def toString: String = description()
}
