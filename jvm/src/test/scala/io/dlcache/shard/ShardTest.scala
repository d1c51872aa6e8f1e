package io.dlcache.shard

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.file.{Files, Paths}
import java.util.UUID
import java.util.zip.CRC32

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.types.StructType
import org.scalatest.BeforeAndAfterAll
import org.scalatest.funsuite.AnyFunSuite

/** Writes shards and looks at them, as Spark reads them and byte for byte. */
private[shard] trait ShardTest extends AnyFunSuite with BeforeAndAfterAll {
  private val directory = Files.createTempDirectory("dlcache-shard")
  // The suites of one JVM share its Spark.
  lazy val spark: SparkSession = SparkSession.builder().getOrCreate()

  // The time type of Spark 4.1 and later has to be switched on.
  override def beforeAll(): Unit = {
    super.beforeAll()
    spark.conf.set("spark.sql.timeType.enabled", "true")
  }

  override def afterAll(): Unit =
    try {
      spark.conf.unset("spark.sql.timeType.enabled")
      Files.walk(directory).sorted(java.util.Comparator.reverseOrder()).forEach(Files.delete(_))
    } finally super.afterAll()

  def newPath(): Path = new Path(directory.resolve(s"${UUID.randomUUID()}.parquet").toUri)

  class Written(val path: Path, val layout: ShardLayout, val summary: ShardSummary) {
    lazy val bytes: Array[Byte] = Files.readAllBytes(Paths.get(path.toUri))
    def facts: Seq[ColumnFacts] = layout.columns.zip(summary.columns).map { case (c, s) => ColumnFacts.of(c, s) }
    def read: DataFrame = spark.read.schema(layout.schema).parquet(path.toString)
    def rowGroupSizes: Seq[Int] =
      Seq.tabulate(summary.rows.toInt / summary.rowGroupRows)(_ => summary.rowGroupRows) ++
        Some((summary.rows % summary.rowGroupRows).toInt).filter(_ > 0)
    def values(chunk: ChunkSummary): ByteBuffer =
      ByteBuffer
        .wrap(bytes, chunk.valuesOffset.toInt, chunk.valuesBytes.toInt)
        .slice()
        .order(ByteOrder.LITTLE_ENDIAN)
    def index(chunk: ChunkSummary, rows: Int): Seq[Int] = {
      val ints = ByteBuffer.wrap(bytes, chunk.indexOffset.toInt, (rows + 1) * 4).order(ByteOrder.LITTLE_ENDIAN)
      Seq.fill(rows + 1)(ints.getInt())
    }
    def crc32: Long = {
      val crc = new CRC32
      crc.update(bytes)
      crc.getValue
    }
  }

  /** Writes rows until the writer wants to be rolled; all of them if it never does. */
  def write(
      rows: Iterator[InternalRow],
      schema: StructType,
      dtype: Option[FloatDtype] = None,
      options: ShardOptions = ShardOptions(1 << 20)
  ): Written = {
    val layout = ShardLayout.of(schema, dtype)
    val path = newPath()
    val writer = new ShardWriter(path, spark.sessionState.newHadoopConf(), layout, options)
    while (rows.hasNext && !writer.mustRoll) writer.write(rows.next())
    new Written(path, layout, writer.close())
  }

  def write(data: DataFrame, dtype: Option[FloatDtype], options: ShardOptions): Written =
    write(data.queryExecution.toRdd.map(_.copy()).collect().iterator, data.schema, dtype, options)

  def write(data: DataFrame): Written = write(data, None, ShardOptions(1 << 20))

  def frame(schema: StructType, rows: Seq[Row]): DataFrame =
    spark.createDataFrame(spark.sparkContext.parallelize(rows, 1), schema)
}
