package org.apache.spark.sql.delta.files

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.execution.datasources.{FileIndex, PartitionDirectory}
import org.apache.spark.sql.types.StructType

/** What dlcache touches of Delta Lake's class of this name; that it never lists its files. */
case class TahoeLogFileIndex(id: String, version: Long) extends FileIndex {
  def partitionFilters: Seq[Expression] = Nil
  def getSnapshot: Snapshot = Snapshot(version, Metadata(id))

  override def rootPaths: Seq[Path] = Seq(new Path("/delta/table"))
  override def listFiles(partitions: Seq[Expression], data: Seq[Expression]): Seq[PartitionDirectory] =
    throw new AssertionError("listing a Delta table runs a Spark job")
  override def inputFiles: Array[String] = Array.empty
  override def refresh(): Unit = ()
  override def sizeInBytes: Long = 0
  override def partitionSchema: StructType = new StructType()
}

case class Snapshot(version: Long, metadata: Metadata)
case class Metadata(id: String)

/** Stands for an index of Delta Lake that is not [[TahoeLogFileIndex]] and has what it has. */
case class PreparedDeltaFileIndex(version: Long) extends FileIndex {
  def partitionFilters: Seq[Expression] = Nil
  def getSnapshot: Snapshot = Snapshot(version, Metadata("id"))

  override def rootPaths: Seq[Path] = Seq(new Path("/delta/table"))
  override def listFiles(partitions: Seq[Expression], data: Seq[Expression]): Seq[PartitionDirectory] = Nil
  override def inputFiles: Array[String] = Array.empty
  override def refresh(): Unit = ()
  override def sizeInBytes: Long = 0
  override def partitionSchema: StructType = new StructType()
}
