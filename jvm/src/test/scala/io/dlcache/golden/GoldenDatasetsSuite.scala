package io.dlcache.golden

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.file.{Files, Path, Paths}
import java.util.Comparator

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.databind.node.ObjectNode
import org.apache.parquet.Version
import org.apache.parquet.hadoop.ParquetFileReader
import org.apache.parquet.io.LocalInputFile
import org.apache.spark.SPARK_VERSION
import org.apache.spark.ml.linalg.{Vector => MlVector}
import org.apache.spark.mllib.linalg.{Vector => OldVector}
import org.apache.spark.sql.SparkSession
import org.scalatest.BeforeAndAfterAll
import org.scalatest.funsuite.AnyFunSuite

/** What is written today is what lies in `tests/golden`, and what lies there can be read. */
class GoldenDatasetsSuite extends AnyFunSuite with BeforeAndAfterAll {
  private lazy val spark = SparkSession.builder().getOrCreate()
  private lazy val written = Files.createTempDirectory("dlcache-golden")
  private val committed = Paths.get("tests", "golden")
  private val mapper = new ObjectMapper()

  override protected def beforeAll(): Unit = GoldenDatasets.all.foreach(_.write(spark, written))

  override protected def afterAll(): Unit =
    Files.walk(written).sorted(Comparator.reverseOrder[Path]()).forEach(file => Files.delete(file))

  /** Git keeps no empty directories, so none is as good as an empty one. */
  private def names(directory: Path): Seq[String] = if (Files.notExists(directory)) Nil
  else {
    val files = Files.list(directory)
    try files.iterator().asScala.map(_.getFileName.toString).toSeq.sorted
    finally files.close()
  }

  private def manifests(dataset: Path): Seq[String] = names(dataset.resolve("_dlcache")).filter(_.endsWith(".json"))

  test("each golden dataset is written by the program, and each that it writes is there") {
    assert(
      names(committed).filter(name => Files.isDirectory(committed.resolve(name))) == GoldenDatasets.all.map(_.name)
    )
  }

  GoldenDatasets.all.foreach { dataset =>
    test(s"${dataset.name}: manifests, shards and expected values have not drifted (else run make golden)") {
      val (now, before) = (written.resolve(dataset.name), committed.resolve(dataset.name))
      assert(Files.readString(now.resolve("expected.json")) == Files.readString(before.resolve("expected.json")))
      assert(manifests(now) == manifests(before))
      manifests(now).foreach { file =>
        assert(comparable(now, file) == comparable(before, file))
        Seq(now, before).foreach(path => assert(manifest(path, file).has("sha256") == dataset.hasChecksum))
      }
      shards(now).zip(shards(before)).foreach { case (a, b) =>
        if (isByThisSpark(b)) assert(pages(a) == pages(b))
      }
    }

    test(s"${dataset.name}: every version is read with its rows") {
      dataset.versions.indices.foreach { i =>
        val read = spark.read.format("dlcache").option("version", i + 1L).load(committed.resolve(dataset.name).toString)
        val expected = dataset.frame(spark, dataset.rows(i + 1))
        assert(read.schema.fieldNames.toSeq == expected.schema.fieldNames.toSeq)
        // Text, so that NaN equals NaN inside arrays; float32 is cast back to what went in.
        def text(data: org.apache.spark.sql.DataFrame) = {
          val columns = expected.schema.map(f => s"cast(`${f.name.replace("`", "``")}` as string)")
          val comparable = if (dataset.options.contains("dtype")) data.selectExpr("to_json(struct(*))") else data
          if (columns.isEmpty) Nil else comparable.collect().toSeq.map(_.toSeq.map(render))
        }
        assert(text(read) == text(expected))
      }
    }
  }

  private def render(value: Any): String = value match {
    case null => "null"
    case vector: MlVector => vector.toDense.toString
    case vector: OldVector => vector.toDense.toString
    case bytes: Array[Byte] => bytes.mkString("[", ",", "]")
    case items: scala.collection.Seq[_] => items.map(render).mkString("[", ",", "]")
    case other => other.toString
  }

  /** The manifest without what differs each time, or by the version of Spark: of a shard its name and its footer. */
  private def comparable(dataset: Path, file: String): JsonNode = {
    val root = manifest(dataset, file)
    root.remove(java.util.List.of("dataset-id", "created-at", "created-by", "bytes", "sha256"))
    root.get("explanation").asInstanceOf[ObjectNode].remove("spark-version")
    root.get("shards").elements().asScala.zipWithIndex.foreach { case (shard, i) =>
      shard.asInstanceOf[ObjectNode].put("path", s"data/$i.parquet").remove(java.util.List.of("bytes", "crc32"))
    }
    root
  }

  private def manifest(dataset: Path, file: String): ObjectNode =
    mapper.readTree(dataset.resolve("_dlcache").resolve(file).toFile).asInstanceOf[ObjectNode]

  private def shards(dataset: Path): Seq[Path] = {
    val current = manifest(dataset, manifests(dataset).last)
    current.get("shards").elements().asScala.map(shard => dataset.resolve(shard.get("path").asText)).toSeq
  }

  /** All bytes before the footer, which lists encodings in no order. */
  private def pages(shard: Path): Seq[Byte] = {
    val bytes = Files.readAllBytes(shard)
    val footer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt(bytes.length - 8)
    bytes.toSeq.dropRight(footer + 8)
  }

  private def isByThisSpark(shard: Path): Boolean = {
    val reader = ParquetFileReader.open(new LocalInputFile(shard))
    try {
      val metadata = reader.getFileMetaData
      metadata.getCreatedBy == Version.FULL_VERSION &&
      metadata.getKeyValueMetaData.get("org.apache.spark.version") == SPARK_VERSION
    } finally reader.close()
  }
}
