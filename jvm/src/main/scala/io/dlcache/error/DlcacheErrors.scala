package io.dlcache.error

import java.time.Instant

/** Every error that the connector raises, one method each, in the order of the conditions file. */
private[dlcache] object DlcacheErrors {

  def alreadyAppended(path: String, key: String, version: Long): DlcacheException =
    error("DLCACHE_ALREADY_APPENDED")("path" -> path, "key" -> key, "version" -> version.toString)

  def ambiguousColumns(path: String, first: String, second: String): DlcacheException =
    error("DLCACHE_AMBIGUOUS_COLUMNS")("path" -> path, "first" -> first, "second" -> second)

  def appendWithoutPath(): DlcacheException = error("DLCACHE_APPEND_WITHOUT_PATH")()

  def catalogRequired(table: String): DlcacheException =
    error("DLCACHE_CATALOG_REQUIRED")("table" -> table)

  def classesDiffer(path: String, partition: Int, answer: String, expected: String): DlcacheException =
    error("DLCACHE_CLASSES_DIFFER")(
      "path" -> path,
      "partition" -> partition.toString,
      "answer" -> answer,
      "expected" -> expected
    )

  def classNumberInvalid(column: String, value: Double): DlcacheException =
    error("DLCACHE_CLASS_NUMBER_INVALID")("column" -> column, "value" -> value.toString)

  def columnsMismatch(path: String, column: String, reason: String): DlcacheException =
    error("DLCACHE_COLUMNS_MISMATCH")("path" -> path, "column" -> column, "reason" -> reason)

  def datasetChanged(path: String, attempts: Int): DlcacheException =
    error("DLCACHE_DATASET_CHANGED")("path" -> path, "attempts" -> attempts.toString)

  def datasetDamaged(path: String, shard: String, reason: String): DlcacheException =
    error("DLCACHE_DATASET_DAMAGED")("path" -> path, "shard" -> shard, "reason" -> reason)

  def datasetDeleted(path: String): DlcacheException = error("DLCACHE_DATASET_DELETED")("path" -> path)

  def filesChanged(path: String, file: String): DlcacheException =
    error("DLCACHE_FILES_CHANGED")("path" -> path, "file" -> file)

  def inputChanged(path: String, attempts: Int): DlcacheException =
    error("DLCACHE_INPUT_CHANGED")("path" -> path, "attempts" -> attempts.toString)

  def invalidOption(option: String, value: String, allowed: String): DlcacheException =
    error("DLCACHE_INVALID_OPTION")("option" -> option, "value" -> value, "allowed" -> allowed)

  def invalidPack(pack: String, column: String, reason: String): DlcacheException =
    error("DLCACHE_INVALID_PACK")("pack" -> pack, "column" -> column, "reason" -> reason)

  def keyMismatch(path: String, difference: String, existing: String, offered: String): DlcacheException =
    error("DLCACHE_KEY_MISMATCH")(
      "path" -> path,
      "difference" -> difference,
      "existing" -> existing,
      "given" -> offered
    )

  def manifestInvalid(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_MANIFEST_INVALID", cause)("path" -> path, "reason" -> reason)

  def manifestTooLarge(path: String, shards: Int, bytes: Long, allowed: Long): DlcacheException =
    error("DLCACHE_MANIFEST_TOO_LARGE")(
      "path" -> path,
      "shards" -> shards.toString,
      "bytes" -> bytes.toString,
      "allowed" -> allowed.toString
    )

  def notADataset(path: String): DlcacheException =
    error("DLCACHE_NOT_A_DATASET")("path" -> path)

  def noRoot(master: String): DlcacheException = error("DLCACHE_NO_ROOT")("master" -> master)

  def nullInPack(pack: String, column: String): DlcacheException =
    error("DLCACHE_NULL_IN_PACK")("pack" -> pack, "column" -> column)

  def observedQuery(observations: String): DlcacheException =
    error("DLCACHE_OBSERVED_QUERY")("observations" -> observations)

  def partitioningUnsupported(method: String): DlcacheException =
    error("DLCACHE_PARTITIONING_UNSUPPORTED")("method" -> method)

  def pathOccupied(path: String, reason: String): DlcacheException =
    error("DLCACHE_PATH_OCCUPIED")("path" -> path, "reason" -> reason)

  def pathRequired(): DlcacheException = error("DLCACHE_PATH_REQUIRED")()

  def rowsMissing(path: String, partition: Int, reason: String): DlcacheException =
    error("DLCACHE_ROWS_MISSING")("path" -> path, "partition" -> partition.toString, "reason" -> reason)

  def rowGroupTooLarge(column: String, amount: Long): DlcacheException =
    error("DLCACHE_ROW_GROUP_TOO_LARGE")("column" -> column, "amount" -> amount.toString)

  def schemaMismatch(path: String, column: String, reason: String): DlcacheException =
    error("DLCACHE_SCHEMA_MISMATCH")("path" -> path, "column" -> column, "reason" -> reason)

  def shardDamaged(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_SHARD_DAMAGED", cause)("path" -> path, "reason" -> reason)

  def shardMissing(path: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_SHARD_MISSING", cause)("path" -> path)

  def statementUnsupported(table: String, statement: String, instead: String): DlcacheException =
    error("DLCACHE_STATEMENT_UNSUPPORTED")("table" -> table, "statement" -> statement, "instead" -> instead)

  def storeUnsupported(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_STORE_UNSUPPORTED", cause)("path" -> path, "reason" -> reason)

  def timestampNotFound(path: String, timestamp: Instant, oldest: Instant): DlcacheException =
    error("DLCACHE_TIMESTAMP_NOT_FOUND")(
      "path" -> path,
      "timestamp" -> timestamp.toString,
      "oldest" -> oldest.toString
    )

  def udfSourceUnknown(function: String): DlcacheException =
    error("DLCACHE_UDF_SOURCE_UNKNOWN")("function" -> function)

  def unknownOption(option: String, known: Iterable[String]): DlcacheException =
    error("DLCACHE_UNKNOWN_OPTION")("option" -> option, "known" -> known.toSeq.sorted.mkString(", "))

  def unknownRequest(request: String): DlcacheException =
    error("DLCACHE_UNKNOWN_REQUEST")("request" -> request)

  def unsupportedColumn(
      column: String,
      dataType: String,
      reason: String,
      cause: Option[Throwable] = None
  ): DlcacheException =
    error("DLCACHE_UNSUPPORTED_COLUMN", cause)("column" -> column, "type" -> dataType, "reason" -> reason)

  def valueTooLarge(column: String, value: Double): DlcacheException =
    error("DLCACHE_VALUE_TOO_LARGE")("column" -> column, "value" -> value.toString)

  def versionNotFound(path: String, version: Long, available: Seq[Long]): DlcacheException =
    error("DLCACHE_VERSION_NOT_FOUND")(
      "path" -> path,
      "version" -> version.toString,
      "available" -> available.mkString(", ")
    )

  def writeExpired(path: String): DlcacheException = error("DLCACHE_WRITE_EXPIRED")("path" -> path)

  private def error(condition: String, cause: Option[Throwable] = None)(parameters: (String, String)*) =
    new DlcacheException(condition, parameters.toMap, cause)
}
