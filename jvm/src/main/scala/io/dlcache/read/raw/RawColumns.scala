package io.dlcache.read.raw

import io.dlcache.manifest.{ChunkEntry, ColumnEntry, Manifest, ShardEntry}
import io.dlcache.read.ShardSplit
import org.apache.spark.sql.types._

/** The layout of the columns of a read in shards, if all of them are raw in all shards: then batches are made of the bytes
  * of the chunks, and nothing is decoded. Pure; it goes to the executors.
  */
final private[read] case class RawColumns private (columns: Seq[RawColumn]) {

  /** The split with the chunks of its row groups. */
  def withChunks(split: ShardSplit, shard: ShardEntry): ShardSplit = {
    val groups = (split.firstGroup until split.firstGroup + split.groups).map { group =>
      val rows = math.min(shard.rowGroupRows.toLong, shard.rows - group.toLong * shard.rowGroupRows)
      RawGroup(rows.toInt, columns.map(column => shard.chunks(column.number).get(group)).toIndexedSeq)
    }
    split.copy(raw = groups)
  }
}

/** @param number of the column in the manifest
  * @param width of a value in bytes, 0 for booleans and for values that have none
  * @param shape of a row's tensor
  * @param isIndexed whether the row index says where rows start
  */
final private[read] case class RawColumn(
    number: Int,
    dataType: DataType,
    width: Int,
    shape: Seq[Int],
    isIndexed: Boolean,
    mayBeNull: Boolean
) {
  def isRecords: Boolean = dataType == BinaryType || dataType.isInstanceOf[StringType]
}

/** @param chunks of the columns that are read */
final private[dlcache] case class RawGroup(rows: Int, chunks: IndexedSeq[ChunkEntry])

private[read] object RawColumns {

  /** @param stored the part of the shards' schema that is read */
  def of(stored: StructType, manifest: Manifest): Option[RawColumns] = {
    val columns = stored.fields.toSeq.map(field => column(field, manifest))
    Option.when(columns.forall(_.isDefined))(RawColumns(columns.flatten))
  }

  private def column(field: StructField, manifest: Manifest): Option[RawColumn] = {
    val number = manifest.columns.indexWhere(_.path == Seq(field.name))
    if (number < 0) None
    else
      layout(number, field.dataType, manifest.columns(number)).filter { raw =>
        manifest.shards.forall(_.chunks(number).exists(_.forall { chunk =>
          chunk.isRaw && (!raw.isIndexed || chunk.indexOffset >= 0)
        }))
      }
  }

  private def layout(number: Int, dataType: DataType, entry: ColumnEntry): Option[RawColumn] = {
    val width = entry.storedDtype.collect { case "int32" | "float32" => 4; case "int64" | "float64" => 8; case _ => 0 }
    (entry.storage, width) match {
      // Spark counts a time of day in other units than its files.
      case _ if entry.logical.contains("time") => None
      case ("scalar", Some(bytes)) =>
        Some(RawColumn(number, dataType, bytes, Nil, isIndexed = false, mayBeNull = false))
      case ("tensor", Some(bytes)) if bytes > 0 =>
        Some(RawColumn(number, dataType, bytes, entry.shape.get, isIndexed = false, mayBeNull = false))
      case ("ragged", Some(bytes)) if bytes > 0 =>
        Some(RawColumn(number, dataType, bytes, Nil, isIndexed = true, mayBeNull = false))
      case ("string" | "binary", _) => Some(RawColumn(number, dataType, 0, Nil, isIndexed = true, entry.nulls > 0))
      case _ => None
    }
  }
}
