package io.dlcache.manifest

import java.time.{Duration, Instant}

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.types.{DataType, StructType}

/** One published version of a dataset, whole: docs/format.md is the contract. Immutable; `ManifestJson` is its text.
  *
  * @param version 1, 2, ...: also the name of the manifest's file
  * @param createdAt UTC, to the millisecond
  * @param planKey what the rows are the result of; after an append, a key of both keys, which no plan has
  * @param explanation what the key was made of, redacted: written by `key`, opaque here
  * @param schema the schema of the shards, vectors already flattened to arrays (a column's `udt` says which were vectors)
  * @param unpacked what the columns of the schema are when those that are packed into one stand by themselves again; in
  *   the order and with the nullability that the DataFrame had
  * @param columns in the order of the schema, structs flattened to their leaves
  * @param shards in the order of the dataset's rows
  * @param options the write options that change bytes
  * @param timeToLive seconds from `createdAt` after which `gc` may delete the dataset
  * @param writtenKeys after an append, the keys of the writes whose rows are in this version, as far as they are known
  */
final private[dlcache] case class Manifest(
    datasetId: String,
    version: Long,
    createdAt: Instant,
    createdBy: String,
    planKey: PlanKeyEntry,
    explanation: Option[JsonNode],
    schema: StructType,
    unpacked: Option[StructType],
    columns: Seq[ColumnEntry],
    shards: Seq[ShardEntry],
    options: Map[String, String],
    timeToLive: Option[Long],
    writtenKeys: Seq[PlanKeyEntry] = Nil
) {

  /** The keys of the writes whose rows are in this version. Those before an append by an old dlcache are not known. */
  def keys: Seq[PlanKeyEntry] =
    if (writtenKeys.nonEmpty || rows == 0 || shards.exists(_.version != version)) writtenKeys else Seq(planKey)

  def rows: Long = shards.map(_.rows).sum
  def bytes: Long = shards.map(_.bytes).sum

  /** The packed columns, each with the names of its elements. */
  def packs: Seq[(String, Seq[String])] = columns.flatMap(column => column.elements.map(column.name -> _))

  /** The columns that rows have, stored by themselves or not; vectors as arrays. */
  def rowSchema: StructType = unpacked.getOrElse(schema)

  /** Whether the time to live has ended. */
  def isExpired(now: Instant): Boolean = timeToLive.exists(Duration.between(createdAt, now).getSeconds >= _)
}

private[dlcache] object Manifest {

  /** The columns of a schema, as docs/format.md §2.1 counts them: the leaves that are reached through structs only. */
  def leaves(schema: StructType): Seq[(Seq[String], DataType)] = schema.fields.toSeq.flatMap { field =>
    field.dataType match {
      case struct: StructType => leaves(struct).map { case (path, dataType) => (field.name +: path, dataType) }
      case dataType => Seq((Seq(field.name), dataType))
    }
  }
}

/** @param scope `durable`, `session` or `user`
  * @param digest 64 hexadecimal digits
  * @param applicationId the Spark application that a session key belongs to
  */
final private[dlcache] case class PlanKeyEntry(scope: String, digest: String, applicationId: Option[String])

/** How one column (a leaf below structs only) is stored, over all shards.
  *
  * @param path the field names from the top, more than one inside structs
  * @param storage `scalar`, `tensor`, `ragged`, `string`, `binary` or `nested`
  * @param dtype of the values as NumPy names it, for `scalar` (where it has one), `tensor` and `ragged`
  * @param storedDtype of the values in the pages, `bit` for booleans
  * @param shape of one row, for `tensor`
  * @param lengths least and greatest: elements for `ragged`, bytes for `string` and `binary`
  * @param logical `date`, `timestamp`, `timestamp_ntz`, `time`, `decimal`, `interval`: what the numbers mean
  * @param precisionAndScale of decimals
  * @param udt `ml` or `mllib`, for columns that were vectors
  * @param elements names of the columns that are packed into this one, in the order of its elements
  * @param nulls rows that are null
  * @param nullElements elements that are null inside rows that are not
  * @param statistics opaque here: see docs/format.md
  */
final private[dlcache] case class ColumnEntry(
    path: Seq[String],
    storage: String,
    dtype: Option[String],
    storedDtype: Option[String],
    shape: Option[Seq[Int]],
    lengths: Option[(Int, Int)],
    logical: Option[String],
    precisionAndScale: Option[(Int, Int)],
    udt: Option[String],
    elements: Option[Seq[String]],
    nulls: Long,
    nullElements: Long,
    statistics: Option[JsonNode]
) {
  def name: String = path.mkString(".")
}

/** @param path relative to the dataset, `data/<unique>.parquet`
  * @param version of the manifest that added the shard
  * @param bytes length of the file
  * @param crc32 of all bytes of the file, as `java.util.zip.CRC32` and Python's `zlib.crc32` compute it
  * @param rowGroupRows rows of each row group, the last one excepted, which may have fewer
  * @param chunks by column, then by row group
  */
final private[dlcache] case class ShardEntry(
    path: String,
    version: Long,
    rows: Long,
    bytes: Long,
    crc32: Long,
    rowGroupRows: Int,
    chunks: Seq[Option[Seq[ChunkEntry]]]
) {
  def rowGroups: Int = if (rows == 0) 0 else ((rows + rowGroupRows - 1) / rowGroupRows).toInt
}

/** Where a raw chunk's values lie, in bytes from the start of the file.
  *
  * @param valuesOffset start of the values, -1 if this chunk is not raw
  * @param valuesBytes their length
  * @param indexOffset start of the row index (int32, rows + 1 of them), -1 if there is none
  */
final private[dlcache] case class ChunkEntry(valuesOffset: Long, valuesBytes: Long, indexOffset: Long) {
  def isRaw: Boolean = valuesOffset >= 0
}
