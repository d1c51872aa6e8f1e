package org.apache.spark.sql.delta

import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat

/** Stands for Delta Lake's class of this name. */
class DeltaParquetFileFormat extends ParquetFileFormat
