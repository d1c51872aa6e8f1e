package io.dlcache.read

import io.dlcache.manifest.Manifest
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.read.LocalScan
import org.apache.spark.sql.types.{LongType, StructType}

/** One row of counts that the manifest holds: no shard is opened.
  *
  * @param counts in the order of the query's aggregate functions
  */
final private[read] class DlcacheCountScan(path: Path, manifest: Manifest, counts: Seq[Long]) extends LocalScan {

  override def readSchema(): StructType =
    counts.indices.foldLeft(new StructType())((schema, i) => schema.add(s"count$i", LongType, nullable = false))

  override def rows(): Array[InternalRow] = Array(InternalRow.fromSeq(counts))

  override def description(): String = s"dlcache $path version ${manifest.version} counts from the manifest"
}
