package io.dlcache.key

import io.dlcache.spark.SqlConfs
import org.apache.spark.sql.SparkSession

/** The SQL configurations that a key counts: all that the session has set to another value than their default, less
  * [[HarmlessConfs]], and some by their value also where it is the default, since it may be another one elsewhere.
  */
private[key] object SemanticConfs {

  /** They count by their value, set or not. */
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

  /** Of SQL, and of Delta Lake, whose readers obey them. Names that Spark does not know are those of extensions. */
  private val Prefixes = Seq("spark.sql.", "spark.databricks.delta.")

  /** @param python whether Python functions take part */
  def of(session: SparkSession, python: Boolean): Map[String, String] =
    valuesOf(session, Names) ++ changed(session).filter { case (name, _) =>
      !HarmlessConfs.contains(name) && (python || !HarmlessConfs.isOfPython(name))
    }

  /** All that the session has set to another value than their default, harmless or not. */
  def changed(session: SparkSession): Map[String, String] = session.conf.getAll.filter { case (name, value) =>
    value != null && Prefixes.exists(name.startsWith) && !SqlConfs.defaultOf(name).contains(value)
  }

  private def valuesOf(session: SparkSession, names: Seq[String]): Map[String, String] =
    names.flatMap(name => session.conf.getOption(name).filter(_ != null).map(name -> _)).toMap
}
