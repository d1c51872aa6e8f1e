package io.dlcache.write

import io.dlcache.error.DlcacheErrors
import org.apache.spark.sql.{Column, DataFrame}
import org.apache.spark.sql.catalyst.expressions.Cast
import org.apache.spark.sql.types.{StructField, StructType}

/** Gives the rows of an insert the columns of the table, as Spark does for tables that leave it to Spark: by position in
  * SQL, by name from `saveAsTable`, with the casts of ANSI store assignment.
  *
  * The table does not leave it to Spark, because Spark's own projection would be part of the plan and so of its key.
  */
final private[dlcache] case class TableInsert(
    table: String,
    columns: StructType,
    isByName: Boolean,
    caseSensitive: Boolean
) {

  /** @return `data` itself if it has the table's columns already
    * @throws io.dlcache.error.DlcacheException DLCACHE_COLUMNS_MISMATCH
    */
  def of(data: DataFrame): DataFrame = {
    val named = if (isByName) byName(data) else byPosition(data)
    columns.fields.zip(named.schema.fields).foreach { case (there, here) =>
      if (here.nullable && !there.nullable) refuse(there.name, "may be null, but not in the table")
    }
    if (columns.fields.zip(named.schema.fields).forall { case (there, here) => isSame(there, here) }) named
    else named.select(columns.fields.zip(named.schema.fields).toSeq.map { case (there, here) => cast(there, here) }: _*)
  }

  private def byName(data: DataFrame): DataFrame =
    Alignment.byName(columns, data.schema, caseSensitive) match {
      case Left(mismatch) => refuse(mismatch.column, mismatch.reason)
      case Right(positions) => Alignment.select(data, positions, columns.fieldNames.toSeq)
    }

  private def byPosition(data: DataFrame): DataFrame = {
    val (there, here) = (columns.fieldNames.toSeq, data.schema.fieldNames.toSeq)
    if (here.length > there.length) refuse(here(there.length), "is more than the table has")
    if (here.length < there.length) refuse(there(here.length), "is missing in the query")
    if (here == there) data else data.toDF(there: _*)
  }

  private def isSame(there: StructField, here: StructField): Boolean =
    Alignment.bare(there.dataType) == Alignment.bare(here.dataType)

  private def cast(there: StructField, here: StructField): Column = {
    val column = Alignment.column(here.name)
    if (isSame(there, here)) column
    else if (Cast.canANSIStoreAssign(here.dataType, there.dataType)) column.cast(there.dataType).as(there.name)
    else refuse(there.name, s"is ${here.dataType.catalogString}, which cannot become ${there.dataType.catalogString}")
  }

  private def refuse(column: String, reason: String): Nothing =
    throw DlcacheErrors.columnsMismatch(table, column, reason)
}
