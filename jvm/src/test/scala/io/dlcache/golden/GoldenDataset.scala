package io.dlcache.golden

import java.math.{BigDecimal => JBigDecimal}
import java.nio.file.{Files, Path}
import java.time.{Duration, Instant, LocalDate, LocalDateTime, Period, ZoneOffset}
import java.time.temporal.ChronoUnit

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.databind.node.{ArrayNode, ObjectNode}
import io.dlcache.manifest.Manifest
import org.apache.spark.ml.linalg.{Vector => MlVector}
import org.apache.spark.mllib.linalg.{Vector => OldVector}
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.types._

/** A small dataset that both languages must read, and the values that they must find.
  *
  * @param versions the rows that each version adds
  * @param partitions of each write: shards, as long as they are small
  * @param options of the write
  * @param pack the option of this name
  * @param hasChecksum whether its manifests have the checksum that those of the first writers had not
  */
final private[golden] case class GoldenDataset(
    name: String,
    description: String,
    schema: StructType,
    versions: Seq[Seq[Row]],
    partitions: Int = 1,
    options: Map[String, String] = Map.empty,
    pack: Map[String, Seq[String]] = Map.empty,
    hasChecksum: Boolean = true
) {

  def frame(spark: SparkSession, rows: Seq[Row]): DataFrame =
    if (rows.isEmpty) spark.createDataFrame(rows.asJava, schema)
    else spark.createDataFrame(spark.sparkContext.parallelize(rows, partitions), schema)

  /** All rows of a version, from 1. */
  def rows(version: Int): Seq[Row] = versions.take(version).flatten

  /** Writes `<directory>/<name>` by the public API, with `expected.json` beside the manifests. */
  def write(spark: SparkSession, directory: Path): Unit = {
    val path = directory.resolve(name)
    versions.foreach { rows =>
      val mode = if (Files.exists(path)) "append" else "errorifexists"
      val writer = frame(spark, rows).write.format("dlcache").options(options).option("key", name)
      writer.option("ifAppended", "append").option("ifShapeChanges", "allow")
      if (pack.nonEmpty) writer.option("pack", GoldenDataset.mapper.writeValueAsString(packs))
      writer.mode(mode).save(path.toString)
    }
    if (!hasChecksum) removeChecksums(path.resolve("_dlcache"))
    Files.writeString(path.resolve("expected.json"), GoldenDataset.text(expected)): Unit
  }

  /** As the first writers wrote manifests. */
  private def removeChecksums(manifests: Path): Unit = {
    val files = Files.list(manifests)
    try
      files.iterator().asScala.filter(_.toString.endsWith(".json")).foreach { file =>
        Files.writeString(
          file,
          Files.readString(file).replaceFirst(",\n\"sha256\":\"[0-9a-f]{64}\"\n", "\n")
            .replaceFirst("\"written-keys\":.*\n", "")
        )
      }
    finally files.close()
  }

  private def packs: ObjectNode = {
    val root = GoldenDataset.mapper.createObjectNode()
    pack.foreach { case (name, columns) =>
      val list = root.putArray(name)
      columns.foreach(list.add(_))
    }
    root
  }

  /** For each version and column the values of all rows, in order, as docs/format.md says that they are delivered. */
  def expected: ObjectNode = {
    val root = GoldenDataset.mapper.createObjectNode()
    root.put("description", description)
    val list = root.putArray("versions")
    versions.indices.foreach { i =>
      val entry = list.addObject()
      entry.put("version", i + 1)
      entry.put("rows", rows(i + 1).size)
      val columns = entry.putObject("columns")
      val packed = pack.values.flatten.toSet
      val leaves = Manifest.leaves(schema)
      val name = GoldenDataset.names(leaves.map(_._1) ++ pack.keys.map(Seq(_)))
      pack.foreach { case (packName, members) =>
        val values = columns.putArray(name(Seq(packName)))
        rows(i + 1).foreach { row =>
          val list = values.addArray()
          members.foreach(member =>
            list.add(GoldenDataset.json(row.get(schema.fieldIndex(member)), schema(member).dataType))
          )
        }
      }
      leaves.filterNot { case (path, _) => packed(path.head) }.foreach { case (path, dataType) =>
        val values = columns.putArray(name(path))
        rows(i + 1).foreach(row => values.add(GoldenDataset.json(GoldenDataset.at(row, schema, path), dataType)))
      }
    }
    root
  }
}

private[golden] object GoldenDataset {
  private val mapper = new ObjectMapper()

  /** What readers call columns: docs/format.md §2.1. */
  private def names(paths: Seq[Seq[String]]): Map[Seq[String], String] = {
    def quoted(path: Seq[String]) =
      path.map(part => if (part.matches("[^.`]*")) part else s"`${part.replace("`", "``")}`").mkString(".")
    paths.map { path =>
      val joined = path.mkString(".")
      val others = paths.filter(_ != path)
      path -> (if (others.exists(other => other.mkString(".") == joined || quoted(other) == joined)) quoted(path)
               else joined)
    }.toMap
  }

  /** One line for each column: to be read by people too. */
  private def text(root: ObjectNode): String = {
    def members(node: JsonNode, indent: String)(value: JsonNode => String): String =
      node.properties().asScala.iterator
        .map(e => s"$indent${mapper.writeValueAsString(e.getKey)}: ${value(e.getValue)}")
        .mkString("{\n", ",\n", s"\n${indent.drop(2)}}")
    val versions = root.get("versions").elements().asScala.map { version =>
      members(version, "      ") {
        case columns: ObjectNode => members(columns, "        ")(mapper.writeValueAsString(_))
        case other => mapper.writeValueAsString(other)
      }
    }
    s"""{
       |  "description": ${mapper.writeValueAsString(root.get("description"))},
       |  "versions": [
       |    ${versions.mkString(",\n    ")}
       |  ]
       |}
       |""".stripMargin
  }

  private def at(row: Row, struct: StructType, path: Seq[String]): Any = {
    val i = struct.fieldIndex(path.head)
    struct(i).dataType match {
      case inner: StructType if !row.isNullAt(i) => at(row.getStruct(i), inner, path.tail)
      case _ => row.get(i)
    }
  }

  private def json(value: Any, dataType: DataType): JsonNode = {
    val nodes = mapper.getNodeFactory
    (value, dataType) match {
      case (null, _) => nodes.nullNode()
      case (b: Boolean, _) => nodes.booleanNode(b)
      case (f: Float, _) => number(f.toDouble)
      case (d: Double, _) => number(d)
      case (n @ (_: Byte | _: Short | _: Int | _: Long), _) => nodes.numberNode(n.asInstanceOf[Number].longValue)
      case (s: String, _) => nodes.textNode(s)
      case (bytes: Array[Byte], _) => nodes.textNode(bytes.map(b => f"$b%02x").mkString)
      case (d: LocalDate, _) => nodes.numberNode(d.toEpochDay)
      case (t: Instant, _) => nodes.numberNode(ChronoUnit.MICROS.between(Instant.EPOCH, t))
      case (t: LocalDateTime, _) =>
        nodes.numberNode(ChronoUnit.MICROS.between(Instant.EPOCH, t.toInstant(ZoneOffset.UTC)))
      case (p: Period, _) => nodes.numberNode(p.toTotalMonths)
      case (d: Duration, _) => nodes.numberNode(d.toNanos / 1000)
      case (d: JBigDecimal, t: DecimalType) if t.precision <= 18 =>
        nodes.numberNode(d.setScale(t.scale).unscaledValue.longValueExact)
      case (d: JBigDecimal, t: DecimalType) => nodes.textNode(d.setScale(t.scale).toPlainString)
      case (v: MlVector, _) => list(v.toArray.toSeq.map(number))
      case (v: OldVector, _) => list(v.toArray.toSeq.map(number))
      case (items: scala.collection.Seq[_], ArrayType(element, _)) => list(items.toSeq.map(json(_, element)))
      case (map: scala.collection.Map[_, _], MapType(key, mapped, _)) =>
        list(map.toSeq.map { case (k, v) => list(Seq(json(k, key), json(v, mapped))) })
      case (row: Row, struct: StructType) =>
        val node = mapper.createObjectNode()
        struct.fields.zipWithIndex.foreach { case (field, i) =>
          node.set[JsonNode](field.name, json(row.get(i), field.dataType))
        }
        node
      case (other, _) => throw new IllegalArgumentException(s"$other of type $dataType")
    }
  }

  private def number(value: Double): JsonNode =
    if (value.isNaN || value.isInfinite) mapper.getNodeFactory.textNode(value.toString)
    else mapper.getNodeFactory.numberNode(value)

  private def list(items: Seq[JsonNode]): ArrayNode = {
    val array = mapper.createArrayNode()
    items.foreach(array.add)
    array
  }
}
