package io.dlcache.key

import scala.util.Try

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.internal.SQLConf

/** The SQL configurations that change what a query returns and that analysis does not write into the plan's expressions.
  * Everything else (memory, parallelism, broadcast thresholds, ...) leaves the key alone.
  */
private[key] object SemanticConfs {

  private[key] val Names: Seq[String] = Seq(
    "spark.sql.ansi.enabled",
    "spark.sql.avro.datetimeRebaseModeInRead",
    "spark.sql.caseSensitive",
    "spark.sql.charAsVarchar",
    "spark.sql.chunkBase64String.enabled",
    "spark.sql.columnNameOfCorruptRecord",
    "spark.sql.csv.filterPushdown.enabled",
    "spark.sql.csv.parser.columnPruning.enabled",
    "spark.sql.cteRecursionLevelLimit",
    "spark.sql.cteRecursionRowLimit",
    "spark.sql.decimalOperations.allowPrecisionLoss",
    "spark.sql.files.ignoreCorruptFiles",
    "spark.sql.files.ignoreMissingFiles",
    "spark.sql.files.supportSecondOffsetFormat",
    "spark.sql.function.concatBinaryAsString",
    "spark.sql.function.eltOutputAsString",
    "spark.sql.icu.caseMappings.enabled",
    "spark.sql.json.enableExactStringParsing",
    "spark.sql.json.enablePartialResults",
    "spark.sql.json.filterPushdown.enabled",
    "spark.sql.jsonGenerator.ignoreNullFields",
    "spark.sql.jsonGenerator.writeNullIfWithDefaultValue",
    "spark.sql.mapKeyDedupPolicy",
    "spark.sql.mapZipWithUsesJavaCollections",
    "spark.sql.parquet.binaryAsString",
    "spark.sql.parquet.datetimeRebaseModeInRead",
    "spark.sql.parquet.fieldId.read.enabled",
    "spark.sql.parquet.fieldId.read.ignoreMissing",
    "spark.sql.parquet.ignoreVariantAnnotation",
    "spark.sql.parquet.inferTimestampNTZ.enabled",
    "spark.sql.parquet.int96AsTimestamp",
    "spark.sql.parquet.int96RebaseModeInRead",
    "spark.sql.parquet.int96TimestampConversion",
    "spark.sql.parquet.mergeSchema",
    "spark.sql.parquet.reader.respectUnknownTypeAnnotation.enabled",
    "spark.sql.preserveCharVarcharTypeInfo",
    "spark.sql.readSideCharPadding",
    "spark.sql.session.timeZone",
    "spark.sql.timestampType",
    "spark.sql.variant.allowDuplicateKeys",
    "spark.sql.variant.allowReadingShredded",
    "spark.sql.variant.validateUnicodeInJsonParsing"
  )

  /** Configurations of this prefix restore an older behaviour: they count where they differ from their default. */
  private val Legacy = "spark.sql.legacy."

  def of(session: SparkSession): Map[String, String] = {
    val defaults = new SQLConf
    val legacy = session.conf.getAll.filter { case (name, value) =>
      name.startsWith(Legacy) && !Try(defaults.getConfString(name)).toOption.contains(value)
    }
    valuesOf(session, Names) ++ legacy
  }

  private def valuesOf(session: SparkSession, names: Seq[String]): Map[String, String] =
    names.flatMap(name => session.conf.getOption(name).filter(_ != null).map(name -> _)).toMap
}
