package io.dlcache.error

/** Every error that the connector raises, one method each, in the order of the conditions file. */
private[dlcache] object DlcacheErrors {

  def manifestInvalid(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_MANIFEST_INVALID", cause)("path" -> path, "reason" -> reason)

  def notADataset(path: String): DlcacheException =
    error("DLCACHE_NOT_A_DATASET")("path" -> path)

  def rowGroupTooLarge(column: String, bytes: Long): DlcacheException =
    error("DLCACHE_ROW_GROUP_TOO_LARGE")("column" -> column, "bytes" -> bytes.toString)

  def shardDamaged(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_SHARD_DAMAGED", cause)("path" -> path, "reason" -> reason)

  def shardMissing(path: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_SHARD_MISSING", cause)("path" -> path)

  def storeUnsupported(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_STORE_UNSUPPORTED", cause)("path" -> path, "reason" -> reason)

  def unknownOption(option: String, known: Iterable[String]): DlcacheException =
    error("DLCACHE_UNKNOWN_OPTION")("option" -> option, "known" -> known.toSeq.sorted.mkString(", "))

  def unsupportedColumn(
      column: String,
      dataType: String,
      reason: String,
      cause: Option[Throwable] = None
  ): DlcacheException =
    error("DLCACHE_UNSUPPORTED_COLUMN", cause)("column" -> column, "type" -> dataType, "reason" -> reason)

  def versionNotFound(path: String, version: Long, available: Seq[Long]): DlcacheException =
    error("DLCACHE_VERSION_NOT_FOUND")(
      "path" -> path,
      "version" -> version.toString,
      "available" -> available.mkString(", ")
    )

  private def error(condition: String, cause: Option[Throwable] = None)(parameters: (String, String)*) =
    new DlcacheException(condition, parameters.toMap, cause)
}
