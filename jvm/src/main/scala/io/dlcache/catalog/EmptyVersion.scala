package io.dlcache.catalog

import io.dlcache.{DlcacheTable, WriteCommand}
import io.dlcache.conf.WriteConf
import org.apache.spark.sql.{Row, SaveMode, SparkSession}
import org.apache.spark.sql.catalyst.util.CharVarcharUtils

/** The next version of a table's dataset, without rows. */
final private[catalog] class EmptyVersion(table: DlcacheTable) {

  def write(): Unit = {
    val session = SparkSession.active
    val schema = CharVarcharUtils.replaceCharVarcharWithStringInSchema(table.schema)
    val none = session.createDataFrame(java.util.List.of[Row](), schema)
    val conf = WriteConf.of(table.options.forWrite(Map.empty), session.conf.getAll)
    new WriteCommand(SaveMode.Overwrite, conf, none).run(): Unit
  }
}
