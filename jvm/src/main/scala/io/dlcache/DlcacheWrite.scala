package io.dlcache

import io.dlcache.conf.WriteConf
import io.dlcache.spark.{Sessions, TableStatement}
import io.dlcache.write.TableInsert
import org.apache.spark.sql.{DataFrame, SaveMode}
import org.apache.spark.sql.connector.write.{SupportsTruncate, V1Write, Write, WriteBuilder}
import org.apache.spark.sql.sources.InsertableRelation
import org.apache.spark.sql.types.StructType

/** A write to a table: `saveAsTable`, `insertInto`, `INSERT`, `CREATE TABLE ... AS SELECT`.
  *
  * It is a V1 write because only such a write is handed the query itself, unexecuted.
  *
  * @param columns of the table
  * @param options of the table and of this write
  */
final private[dlcache] class DlcacheWriteBuilder(
    table: String,
    columns: StructType,
    options: Map[String, String],
    overwrites: Boolean = false
) extends WriteBuilder
    with SupportsTruncate {

  override def truncate(): WriteBuilder = new DlcacheWriteBuilder(table, columns, options, overwrites = true)

  override def build(): Write = new DlcacheWrite(table, columns, options, overwrites)
}

final private[dlcache] class DlcacheWrite(
    table: String,
    columns: StructType,
    options: Map[String, String],
    overwrites: Boolean
) extends V1Write {

  override def toInsertableRelation: InsertableRelation = (data: DataFrame, _: Boolean) => insert(data)

  override def description(): String = s"$table, ${if (overwrites) "overwrite" else "append or create"}"

  override def toString: String = description()

  private def insert(data: DataFrame): Unit = {
    val session = data.sparkSession
    val statement = TableStatement.current(session.sparkContext)
    val rows = TableInsert(table, columns, statement.isByName, Sessions.isCaseSensitive(session)).of(data)
    val mode = if (overwrites) SaveMode.Overwrite else statement.mode
    new WriteCommand(mode, WriteConf.of(options, session.conf.getAll), rows).run(): Unit
  }
}
