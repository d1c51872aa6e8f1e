package io.dlcache.read

import java.util.OptionalLong

import io.dlcache.manifest.{ColumnEntry, Manifest}
import org.apache.spark.sql.connector.read.Statistics
import org.apache.spark.sql.types.StructType

/** What a scan gives, before filters: rows exactly, bytes from the sizes in the manifest. */
final private[read] case class ReadStatistics(rows: Long, bytes: Long) extends Statistics {
  override def numRows(): OptionalLong = OptionalLong.of(rows)
  override def sizeInBytes(): OptionalLong = OptionalLong.of(bytes)
}

private[read] object ReadStatistics {

  /** @param stored the part of the shards' schema that is read */
  def of(manifest: Manifest, stored: StructType): ReadStatistics = {
    val types = Manifest.leaves(manifest.schema).toMap
    val read = Manifest.leaves(stored).map(_._1).toSet
    val known = manifest.columns.zipWithIndex.map { case (column, i) =>
      rawBytes(manifest, i).map(_ * widening(column))
    }
    val rest = math.max(0L, manifest.bytes - manifest.columns.indices.flatMap(rawBytes(manifest, _)).sum)
    // What the columns that are not raw share is divided as Spark does it, by the usual size of their types.
    val weights = manifest.columns.zip(known).map { case (column, raw) =>
      if (raw.isDefined) 0L else types(column.path).defaultSize.toLong
    }
    val weight = math.max(1L, weights.sum).toDouble
    val sizes = manifest.columns.zip(known).zip(weights).collect {
      case ((column, raw), share) if read(column.path) => raw.getOrElse((rest * (share / weight)).toLong)
    }
    ReadStatistics(manifest.rows, math.max(1L, sizes.sum))
  }

  /** Vectors that are stored as float32 are doubles in Spark. */
  private def widening(column: ColumnEntry): Int =
    if (column.udt.isDefined && column.storedDtype.contains("float32")) 2 else 1

  private def rawBytes(manifest: Manifest, column: Int): Option[Long] = {
    val chunks = manifest.shards.map(_.chunks(column).filter(_.forall(_.isRaw)))
    Option.when(chunks.forall(_.isDefined))(chunks.flatten.flatten.map(_.valuesBytes).sum)
  }
}
