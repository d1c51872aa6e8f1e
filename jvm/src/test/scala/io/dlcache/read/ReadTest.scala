package io.dlcache.read

import java.nio.file.{Files, Path => LocalPath}
import java.util
import java.util.UUID

import scala.jdk.CollectionConverters._

import io.dlcache.manifest.{ColumnEntry, DatasetStore, Manifest, Manifests, ShardEntry}
import io.dlcache.spark.Sessions
import org.apache.hadoop.fs.Path
import org.apache.parquet.hadoop.ParquetFileReader
import org.apache.parquet.hadoop.util.HadoopInputFile
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.connector.catalog.{SupportsRead, Table, TableCapability, TableProvider}
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.connector.read.ScanBuilder
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.CaseInsensitiveStringMap
import org.scalatest.BeforeAndAfterAll
import org.scalatest.funsuite.AnyFunSuite

/** Datasets whose shards Spark's own Parquet writer has made, so that the reader is tested without our writer. */
abstract private[read] class ReadTest extends AnyFunSuite with BeforeAndAfterAll {
  protected lazy val spark: SparkSession = SparkSession.builder().getOrCreate()
  protected lazy val scratch: LocalPath = Files.createTempDirectory("dlcache-read")

  override protected def afterAll(): Unit = {
    Files.walk(scratch).sorted(util.Comparator.reverseOrder[LocalPath]()).forEach(path => Files.delete(path))
    super.afterAll()
  }

  /** One shard for each partition of `data`, and a manifest that says of each column as little as it may. */
  protected def dataset(
      data: DataFrame,
      rowGroupBytes: Long = 1L << 27,
      columns: Seq[ColumnEntry] => Seq[ColumnEntry] = identity
  ): LocalPath = {
    val directory = Files.createDirectory(scratch.resolve(s"a set 100% \"${UUID.randomUUID()}\""))
    val written = directory.resolve("data")
    data.write.option("parquet.block.size", rowGroupBytes).parquet(written.toString)
    val files = Files.list(written)
    val parts =
      try files.iterator().asScala.toSeq.sortBy(_.toString)
      finally files.close()
    val (shards, others) = parts.partition(_.toString.endsWith(".parquet"))
    others.foreach(Files.delete)
    val named =
      shards.map(file => Files.move(file, file.resolveSibling(file.getFileName.toString.replace(".snappy", ""))))
    val leaves = Manifest.leaves(data.schema).map { case (path, _) => Manifests.column(path: _*) }
    val entries = named.map(shard(_, leaves.size)).filter(_.rows > 0)
    val manifest = Manifests.empty(1, data.schema, columns(leaves)).copy(shards = entries)
    assert(store(directory).publish(manifest))
    directory
  }

  private def shard(file: LocalPath, columns: Int): ShardEntry = {
    val reader = ParquetFileReader.open(HadoopInputFile.fromPath(new Path(file.toUri), Sessions.hadoopConf(spark)))
    try {
      val groups = reader.getRowGroups.asScala.map(_.getRowCount)
      val path = s"data/${file.getFileName}"
      ShardEntry(
        path,
        1,
        groups.sum,
        Files.size(file),
        0,
        groups.maxOption.getOrElse(1L).toInt,
        Seq.fill(columns)(None)
      )
    } finally reader.close()
  }

  protected def store(directory: LocalPath): DatasetStore =
    new DatasetStore(new Path(directory.toUri), Sessions.hadoopConf(spark))

  protected def load(directory: LocalPath): DataFrame =
    spark.read.format(classOf[ReadTestSource].getName).load(directory.toString)

  protected def withConf[A](pairs: (String, Any)*)(body: => A): A = {
    val before = pairs.map { case (name, _) => name -> spark.conf.getAll.get(name) }
    pairs.foreach { case (name, value) => spark.conf.set(name, value.toString) }
    try body
    finally
      before.foreach {
        case (name, Some(value)) => spark.conf.set(name, value)
        case (name, None) => spark.conf.unset(name)
      }
  }
}

/** The least that makes a scan builder a source. */
class ReadTestSource extends TableProvider {

  override def inferSchema(options: CaseInsensitiveStringMap): StructType = ReadSchema.of(manifest(options))

  override def getTable(
      schema: StructType,
      partitioning: Array[Transform],
      config: util.Map[String, String]
  ): Table =
    new Table with SupportsRead {
      private val options = new CaseInsensitiveStringMap(config)
      override def name(): String = "test"
      override def schema(): StructType = ReadSchema.of(manifest(options))
      override def capabilities(): util.Set[TableCapability] = util.Set.of(TableCapability.BATCH_READ)
      override def newScanBuilder(scanOptions: CaseInsensitiveStringMap): ScanBuilder =
        new DlcacheScanBuilder(path(options), manifest(options), Map.empty)
    }

  private def path(options: CaseInsensitiveStringMap): Path = new Path("file:" + options.get("path"))

  private def manifest(options: CaseInsensitiveStringMap): Manifest =
    new DatasetStore(path(options), Sessions.hadoopConf(SparkSession.active)).current().get
}
