package io.dlcache.write

import java.util

import scala.jdk.CollectionConverters._

import io.dlcache.spark.PlainTable
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.catalog.{SupportsRead, TableCapability}
import org.apache.spark.sql.connector.read.{LocalScan, ScanBuilder}
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap
import org.apache.spark.unsafe.types.UTF8String

/** One row: how the write with this `request` went. Reading it runs no Spark job. */
final private[dlcache] class OutcomeTable(request: String) extends PlainTable with SupportsRead {

  override def name(): String = s"dlcache outcome of $request"

  override def schema(): StructType = WriteOutcome.Schema

  override def capabilities(): util.Set[TableCapability] = Set(TableCapability.BATCH_READ).asJava

  override def newScanBuilder(options: CaseInsensitiveStringMap): ScanBuilder =
    () => new OutcomeScan(request, WriteOutcomes.driver(request))
}

final private[write] class OutcomeScan(request: String, outcome: WriteOutcome) extends LocalScan {

  override def readSchema(): StructType = WriteOutcome.Schema

  override def rows(): Array[InternalRow] = Array(
    InternalRow.fromSeq(outcome.row.toSeq.map {
      case text: String => UTF8String.fromString(text)
      case other => other
    })
  )

  override def description(): String = s"dlcache outcome of $request"

  override def toString: String = description()
}
