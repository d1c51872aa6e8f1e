package io.dlcache.read

import io.dlcache.manifest.{Manifest, ShardEntry}
import io.dlcache.read.raw.RawColumns
import io.dlcache.spark.{ParquetReads, Sessions}
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.connector.read.{Batch, InputPartition, PartitionReaderFactory}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.sources.Filter
import org.apache.spark.sql.types.StructType
import org.apache.spark.util.SerializableConfiguration

/** Divides the shards among tasks.
  *
  * @param required what is read, as Spark sees it
  * @param stored the part of the shards' schema that holds it
  * @param hadoop settings of Hadoop for this read
  * @param raw its layout, if the bytes of the shards are read
  * @param isByRow whether rows are read, not batches
  */
final private[read] class DlcacheBatch(
    path: Path,
    manifest: Manifest,
    required: StructType,
    stored: StructType,
    filters: Seq[Filter],
    hadoop: Map[String, String],
    raw: Option[RawColumns],
    isByRow: Boolean
) extends Batch {

  private def session = SparkSession.active

  override def planInputPartitions(): Array[InputPartition] = {
    val conf = SQLConf.get
    val parallelism =
      conf.filesMinPartitionNum
        .orElse(conf.getConf(SQLConf.LEAF_NODE_DEFAULT_PARALLELISM))
        .getOrElse(session.sparkContext.defaultParallelism)
    val shards = manifest.shards.map(shard => shard.path -> shard).toMap
    ReadPlan
      .partitions(manifest.shards, conf.filesMaxPartitionBytes, conf.filesOpenCostInBytes, parallelism)
      .map(splits => DlcacheInputPartition(path.toString, splits.map(withChunks(_, shards))))
      .toArray
  }

  private def withChunks(split: ShardSplit, shards: Map[String, ShardEntry]) =
    raw.fold(split)(_.withChunks(split, shards(split.path)))

  override def createReaderFactory(): PartitionReaderFactory = {
    val conf = Sessions.hadoopConf(session, hadoop)
    new DlcacheReaderFactory(
      ParquetReads.of(session, manifest.schema, stored, filters, conf),
      raw,
      isByRow,
      SQLConf.get.parquetVectorizedReaderBatchSize,
      ReadColumns.of(required, stored, manifest),
      session.sparkContext.broadcast(new SerializableConfiguration(conf))
    )
  }

  override def equals(other: Any): Boolean = other match {
    case that: DlcacheBatch => identity == that.identity
    case _ => false
  }

  override def hashCode(): Int = identity.hashCode()

  private def identity = (path, manifest.datasetId, manifest.version, required, filters)
}

/** @param dataset path of the dataset */
final private[read] case class DlcacheInputPartition(dataset: String, splits: IndexedSeq[ShardSplit])
    extends InputPartition
