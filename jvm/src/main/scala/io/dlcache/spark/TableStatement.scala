package io.dlcache.spark

import org.apache.spark.SparkContext
import org.apache.spark.sql.SaveMode
import org.apache.spark.sql.catalyst.plans.logical.{CreateTableAsSelect, LogicalPlan, ReplaceTableAsSelect}
import org.apache.spark.sql.catalyst.plans.logical.V2WriteCommand
import org.apache.spark.sql.execution.SQLExecution

/** Which statement writes to a table of a catalog. Spark hands the table the rows only: the insert of a
  * `CREATE TABLE ... AS SELECT` and an `INSERT INTO` look the same to it.
  *
  * @param mode of an insert that does not overwrite: `Append`, or for a table that the same statement creates
  *   `ErrorIfExists`, with `IF NOT EXISTS` `Ignore`, and with `REPLACE` `Overwrite`
  * @param isByName whether columns are matched by name (`saveAsTable`), not by position (SQL, `insertInto`)
  */
final private[dlcache] case class TableStatement(mode: SaveMode, isByName: Boolean)

private[dlcache] object TableStatement {

  /** The statement that this thread executes. */
  def current(context: SparkContext): TableStatement = {
    val mode = plan(context, SQLExecution.EXECUTION_ROOT_ID_KEY) match {
      case Some(create: CreateTableAsSelect) => if (create.ignoreIfExists) SaveMode.Ignore else SaveMode.ErrorIfExists
      case Some(_: ReplaceTableAsSelect) => SaveMode.Overwrite
      case _ => SaveMode.Append
    }
    val isByName = plan(context, SQLExecution.EXECUTION_ID_KEY) match {
      case Some(write: V2WriteCommand) => write.isByName
      case _ => false
    }
    TableStatement(mode, isByName)
  }

  /** Whether this thread executes a statement that creates a table from a query. */
  def createsTable(context: SparkContext): Boolean = plan(context, SQLExecution.EXECUTION_ROOT_ID_KEY).exists {
    case _: CreateTableAsSelect | _: ReplaceTableAsSelect => true
    case _ => false
  }

  private def plan(context: SparkContext, property: String): Option[LogicalPlan] =
    Option(context.getLocalProperty(property))
      .flatMap(id => Option(SQLExecution.getQueryExecution(id.toLong)))
      .map(_.analyzed)
}
