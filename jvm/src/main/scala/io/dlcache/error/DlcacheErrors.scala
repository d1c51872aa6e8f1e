package io.dlcache.error

/** Every error that the connector raises, one method each, in the order of the conditions file. */
private[dlcache] object DlcacheErrors {

  def manifestInvalid(path: String, reason: String, cause: Option[Throwable] = None): DlcacheException =
    error("DLCACHE_MANIFEST_INVALID", cause)("path" -> path, "reason" -> reason)

  def unknownOption(option: String, known: Iterable[String]): DlcacheException =
    error("DLCACHE_UNKNOWN_OPTION")("option" -> option, "known" -> known.toSeq.sorted.mkString(", "))

  def unsupportedColumn(column: String, dataType: String, reason: String): DlcacheException =
    error("DLCACHE_UNSUPPORTED_COLUMN")("column" -> column, "type" -> dataType, "reason" -> reason)

  private def error(condition: String, cause: Option[Throwable] = None)(parameters: (String, String)*) =
    new DlcacheException(condition, parameters.toMap, cause)
}
