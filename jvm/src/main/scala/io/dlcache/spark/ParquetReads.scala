package io.dlcache.spark

import io.dlcache.read.ShardSplit
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.paths.SparkPath
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.execution.datasources.{FileFormat, PartitionedFile}
import org.apache.spark.sql.execution.datasources.parquet.{ParquetFileFormat, ParquetOptions}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.sources.Filter
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.vectorized.ColumnarBatch

/** Spark's own Parquet reader, vectorized where it can be, as a function from a part of a file to its rows. Made on the
  * driver, used on the executors.
  *
  * @param columnar whether it gives batches; else it gives rows
  */
final private[dlcache] class ParquetReads private (
    read: PartitionedFile => Iterator[InternalRow],
    val columnar: Boolean
) extends Serializable {

  def batches(file: Path, split: ShardSplit): Iterator[ColumnarBatch] = {
    require(columnar)
    // The reader's type says rows, and a batch is handed out as one of them.
    open(file, split).asInstanceOf[Iterator[ColumnarBatch]]
  }

  def rows(file: Path, split: ShardSplit): Iterator[InternalRow] = {
    require(!columnar)
    open(file, split)
  }

  private def open(file: Path, split: ShardSplit): Iterator[InternalRow] = read(
    PartitionedFile(
      partitionValues = InternalRow.empty,
      filePath = SparkPath.fromPath(file),
      start = split.start,
      length = split.length,
      locations = Array.empty,
      modificationTime = 0,
      fileSize = split.shardBytes,
      otherConstantMetadataColumnValues = Map.empty
    )
  )
}

private[dlcache] object ParquetReads {

  /** Whether the vectorized reader takes this schema, under the session's settings. */
  def supportsBatches(session: SparkSession, schema: StructType): Boolean =
    SQLConf.get.parquetVectorizedReaderEnabled && new ParquetFileFormat().supportBatch(session, schema)

  /** @param schema of the shards
    * @param required the part of it that is read
    * @param filters row groups whose statistics rule them out are skipped; rows are not filtered
    */
  def of(
      session: SparkSession,
      schema: StructType,
      required: StructType,
      filters: Seq[Filter],
      conf: Configuration
  ): ParquetReads = {
    val columnar = supportsBatches(session, required)
    // Shards always hold the proleptic Gregorian calendar, whatever the session would assume of a file.
    val options = Map(
      FileFormat.OPTION_RETURNING_BATCH -> columnar.toString,
      ParquetOptions.DATETIME_REBASE_MODE -> "CORRECTED",
      ParquetOptions.INT96_REBASE_MODE -> "CORRECTED"
    )
    val read = new ParquetFileFormat()
      .buildReaderWithPartitionValues(session, schema, new StructType(), required, filters, options, conf)
    new ParquetReads(read, columnar)
  }
}
