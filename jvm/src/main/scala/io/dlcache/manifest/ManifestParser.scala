package io.dlcache.manifest

import java.time.Instant
import java.time.format.DateTimeParseException

import scala.util.control.NonFatal

import com.fasterxml.jackson.core.JsonProcessingException
import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.error.DlcacheErrors
import org.apache.spark.sql.types.{ArrayType, DataType, DoubleType, FloatType, StructType}

/** Reads a manifest that may come from anyone: every size, offset, shape and path is checked before it is believed.
  *
  * Whoever holds a [[Manifest]] may therefore rely on this: shards lie under `data/` of the dataset, all byte ranges
  * lie inside of their files, and the lists have the lengths that the schema and the row counts say.
  */
final private[manifest] class ManifestParser(path: String) {

  import ManifestParser._

  def parse(text: String): Manifest = {
    val root = new JsonCursor(tree(text), "", reason => fail(reason.trim))
    if (!root.node.isObject) fail("it is not a JSON object")
    val format = root("format-version").long(0)
    if (format != ManifestJson.FormatVersion)
      fail(s"its format-version is $format and this dlcache knows ${ManifestJson.FormatVersion} only")
    // Manifests of old writers have none.
    for (found <- root.get(ManifestChecksum.Key); problem <- ManifestChecksum.problem(text, found.string)) fail(problem)

    val version = root("version").long(1)
    val schema = storedSchema(root("schema"))
    val columns = columnEntries(root("columns"), schema)
    val unpacked = root.get("unpacked-schema").map(unpackedSchema(_, schema, columns))
    root("columns").require(
      unpacked.isDefined == columns.exists(_.elements.isDefined),
      "have elements if and only if there is an unpacked-schema"
    )
    val shards = root("shards").elements.map(shard(_, columns, version))
    shards.groupBy(_.path).collectFirst { case (shardPath, several) if several.size > 1 => shardPath }.foreach { twice =>
      fail(s"it names the shard $twice more than once")
    }
    val rows = total(root, "rows", shards.map(_.rows))
    total(root, "bytes", shards.map(_.bytes))
    columns.zip(root("columns").elements).foreach { case (column, at) =>
      at("nulls").require(column.nulls <= rows, s"is ${column.nulls}, and there are $rows rows")
    }

    Manifest(
      datasetId = datasetId(root("dataset-id")),
      version = version,
      createdAt = instant(root("created-at")),
      createdBy = root("created-by").string,
      planKey = planKey(root("plan-key")),
      explanation = root.get("explanation").map(_.obj),
      schema = schema,
      unpacked = unpacked,
      columns = columns,
      shards = shards,
      options = root("options").stringMap,
      timeToLive = root.get("ttl-seconds").map(_.long(0)),
      writtenKeys = root.get("written-keys").toSeq.flatMap(_.elements).map(planKey)
    )
  }

  private def fail(reason: String, cause: Option[Throwable] = None): Nothing =
    throw DlcacheErrors.manifestInvalid(path, reason, cause)

  private def tree(text: String): JsonNode = {
    val node =
      try ManifestJson.mapper.readTree(text)
      catch { case e: JsonProcessingException => fail(s"it is not JSON (${e.getOriginalMessage})", Some(e)) }
    if (node.isMissingNode) fail("it is empty")
    node
  }

  private def datasetId(at: JsonCursor): String = {
    at.require(Uuid.matches(at.string), "is not a UUID")
    at.string
  }

  private def instant(at: JsonCursor): Instant =
    try Instant.parse(at.string)
    catch {
      case _: DateTimeParseException => at.invalid(s"is '${at.string}', not a time like 2026-11-23T08:15:30.123Z")
    }

  private def planKey(at: JsonCursor): PlanKeyEntry = {
    val scope = at("scope").oneOf(Scopes)
    val digest = at("digest")
    digest.require(Digest.matches(digest.string), "is not 64 lower-case hexadecimal digits")
    val applicationId = at.get("application-id").map(_.string)
    at.require(
      applicationId.isDefined == (scope == "session"),
      "has an application-id if and only if it is a session key"
    )
    PlanKeyEntry(scope, digest.string, applicationId)
  }

  private def total(root: JsonCursor, key: String, parts: Seq[Long]): Long = {
    val at = root(key)
    val sum =
      try parts.foldLeft(0L)(Math.addExact)
      catch { case _: ArithmeticException => at.invalid("of all shards is more than 64 bits hold") }
    at.require(at.long(0) == sum, s"is ${at.long(0)}, and the shards have $sum")
    sum
  }

  // --- schema and columns

  private def storedSchema(at: JsonCursor): StructType = {
    plainType(at)
    val parsed =
      try DataType.fromJson(at.node.toString)
      catch { case NonFatal(e) => fail(s"${at.where} is not a Spark schema (${e.getMessage})", Some(e)) }
    parsed match {
      case struct: StructType => struct
      case other => at.invalid(s"is the type ${other.simpleString}, not a struct")
    }
  }

  /** Spark's own parser makes an instance of whatever class a `udt` names: it must never see one. */
  private def plainType(at: JsonCursor): Unit =
    if (!at.node.isTextual) at("type").string match {
      case "struct" => at("fields").elements.foreach(field => plainType(field("type")))
      case "array" => plainType(at("elementType"))
      case "map" =>
        plainType(at("keyType"))
        plainType(at("valueType"))
      case other => at.invalid(s"is a '$other', which a stored schema cannot hold")
    }

  /** Has each column that is stored by itself as it is, and each element of a packed one; nothing else, and none twice. */
  private def unpackedSchema(at: JsonCursor, schema: StructType, columns: Seq[ColumnEntry]): StructType = {
    val unpacked = storedSchema(at)
    val packed = columns.flatMap(column => column.elements.map(column.name -> _)).toMap
    val expected = schema.fields.toSeq.flatMap { field =>
      (packed.get(field.name), field.dataType) match {
        case (Some(names), ArrayType(element, _)) => names.map(name => name -> element)
        case _ => Seq(field.name -> field.dataType)
      }
    }
    val found = unpacked.fields.toSeq.map(field => field.name -> field.dataType)
    at.require(
      found.map(_._1).distinct.size == found.size && found.size == expected.size && found.toSet == expected.toSet,
      "does not have the columns of the schema, with the elements of packed columns in their place"
    )
    unpacked
  }

  private def columnEntries(at: JsonCursor, schema: StructType): Seq[ColumnEntry] = {
    val leaves = Manifest.leaves(schema)
    val entries = at.elements
    at.require(entries.size == leaves.size, s"has ${entries.size} entries, and the schema has ${leaves.size} columns")
    entries.zip(leaves).map { case (entry, (leafPath, dataType)) => column(entry, leafPath, dataType) }
  }

  private def column(at: JsonCursor, leaf: Seq[String], dataType: DataType): ColumnEntry = {
    val columnPath = at("path").elements.map(_.string)
    val name = at("name").string
    at.require(
      columnPath == leaf,
      s"is the column ${columnPath.mkString(".")}, and the schema has ${leaf.mkString(".")}"
    )
    at.require(name == leaf.mkString("."), s"is named '$name', and its path is ${leaf.mkString(".")}")
    val storage = at("storage").oneOf(Storages)
    val dtype = at.get("dtype").map(_.oneOf(Dtypes))
    val storedDtype = at.get("stored-dtype").map(_.oneOf(StoredBits.keys.toSeq.sorted))
    at.require(dtype.isDefined == storedDtype.isDefined, "has one of dtype and stored-dtype, and needs both or none")
    val numeric = storage == "tensor" || storage == "ragged"
    at.require(dtype.isDefined || !numeric, s"is a $storage column without a dtype")
    at.require(dtype.isEmpty || numeric || storage == "scalar", s"is a $storage column with a dtype")

    val shape = at.get("shape").map(shape => shape.elements.map(_.int(1)))
    at.require(shape.isDefined == (storage == "tensor"), "has a shape if and only if it is a tensor column")
    for (dimensions <- shape; stored <- storedDtype)
      at.require(
        rowBytes(dimensions, stored).isDefined,
        s"has a shape (${dimensions.mkString(", ")}) too large for a row"
      )
    val rank = if (storage == "tensor") shape.map(_.size) else Option.when(storage == "ragged")(1)
    rank.foreach { expected =>
      at.require(
        arrayDepth(dataType) == expected,
        s"is a $storage of rank $expected, and its type is ${dataType.simpleString}"
      )
    }
    val lengths = at.get("lengths").map { range =>
      at.require(Indexed(storage), s"is a $storage column with lengths")
      val bounds = range.elements.map(_.int(0))
      range.require(bounds.size == 2 && bounds(0) <= bounds(1), "is not [least, greatest]")
      (bounds(0), bounds(1))
    }
    val precision = at.get("precision").map(_.int(1))
    val scale = at.get("scale").map(_.int(0))
    at.require(precision.isDefined == scale.isDefined, "has one of precision and scale, and needs both or none")
    val udt = at.get("udt").map(_.oneOf(Udts))
    at.require(udt.isEmpty || isVectorStorage(dataType), s"is a vector, and its type is ${dataType.simpleString}")
    val elements = at.get("elements").map(_.elements.map(_.string))
    elements.foreach { names =>
      at.require(
        storage == "tensor" && shape.contains(Seq(names.size)) && columnPath.size == 1 && udt.isEmpty,
        s"has ${names.size} names of elements, and is no packed column of as many"
      )
    }
    val nulls = at("nulls").long(0)
    val nullElements = at("null-elements").long(0)
    at.require(storage != "tensor" || nulls + nullElements == 0, "is a tensor column with nulls")

    ColumnEntry(
      path = columnPath,
      storage = storage,
      dtype = dtype,
      storedDtype = storedDtype,
      shape = shape,
      lengths = lengths,
      logical = at.get("logical").map(_.oneOf(Logicals)),
      precisionAndScale = precision.zip(scale),
      udt = udt,
      elements = elements,
      nulls = nulls,
      nullElements = nullElements,
      statistics = at.get("statistics").map(_.obj)
    )
  }

  // --- shards

  private def shard(at: JsonCursor, columns: Seq[ColumnEntry], manifestVersion: Long): ShardEntry = {
    val shardPath = at("path")
    shardPath.require(
      ShardPath.matches(shardPath.string),
      s"is '${shardPath.string}', not data/<name with a UUID>.parquet"
    )
    val rows = at("rows").long(1)
    val bytes = at("bytes").long(LeastParquetBytes)
    val entry = ShardEntry(
      path = shardPath.string,
      version = at("version").long(1, manifestVersion),
      rows = rows,
      bytes = bytes,
      crc32 = at("crc32").long(0, 0xffffffffL),
      rowGroupRows = at("row-group-rows").int(1),
      chunks = Nil
    )
    val groups = (rows - 1) / entry.rowGroupRows + 1
    at.require(groups <= bytes, s"has $groups row groups in $bytes bytes")
    val chunks = at("chunks").elements
    at("chunks").require(
      chunks.size == columns.size,
      s"has ${chunks.size} entries, and there are ${columns.size} columns"
    )
    entry.copy(chunks = chunks.zip(columns).map {
      case (chunk, _) if chunk.node.isNull => None
      case (chunk, column) => Some(rawChunks(chunk, column, entry, groups))
    })
  }

  private def rawChunks(at: JsonCursor, column: ColumnEntry, shard: ShardEntry, groups: Long): Seq[ChunkEntry] = {
    at.require(at.node.isArray && at.node.size() == groups * 3, s"is not three integers for each of $groups row groups")
    at.elements.grouped(3).zipWithIndex.map { case (triple, group) =>
      val chunk = ChunkEntry(triple(0).long(-1), triple(1).long(0), triple(2).long(-1))
      val rows = math.min(shard.rowGroupRows.toLong, shard.rows - group.toLong * shard.rowGroupRows)
      chunkProblem(chunk, column, shard.bytes, rows).foreach { problem =>
        at.invalid(s"is wrong for row group $group: $problem")
      }
      chunk
    }.toVector
  }
}

private[manifest] object ManifestParser {
  private val Uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}".r
  private val ShardUuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
  private val Digest = "[0-9a-f]{64}".r
  // A name that dlcache gives: nothing in it that a path or a URI could read as more than a name.
  private val ShardPath = s"data/(?:[0-9A-Za-z_-]*-)?$ShardUuid(?:-[0-9A-Za-z_-]*)?\\.parquet".r

  private val Scopes = Seq("durable", "session", "user")
  private val Storages = Seq("scalar", "tensor", "ragged", "string", "binary", "nested")
  private val Dtypes = Seq("bool", "int8", "int16", "int32", "int64", "float32", "float64")
  private val Udts = Seq("ml", "mllib")
  private val Logicals =
    Seq("date", "timestamp", "timestamp_ntz", "time", "decimal", "year-month-interval", "day-time-interval")

  private val StoredBits: Map[String, Int] =
    Map("bit" -> 1, "int32" -> 32, "int64" -> 64, "float32" -> 32, "float64" -> 64)

  /** Storages whose raw chunks have a row index. */
  private val Indexed = Set("ragged", "string", "binary")

  /** The next version may: then the shards that are there already need their row index. */
  private def mayBecomeRagged(column: ColumnEntry): Boolean = column.shape.exists(_.size == 1)

  private val Alignment = 64

  /** Two magic numbers and the length of a footer. */
  private val LeastParquetBytes = 12L

  /** Bytes of one row, if they fit in a chunk at all (2 GiB). Bits are counted as if each took a byte. */
  private def rowBytes(shape: Seq[Int], storedDtype: String): Option[Long] = {
    val width = math.max(1, StoredBits(storedDtype) / 8).toLong
    shape.foldLeft(Option(width)) { (bytes, dimension) =>
      bytes.map(_ * dimension).filter(_ <= Int.MaxValue)
    }
  }

  private def arrayDepth(dataType: DataType): Int = dataType match {
    case ArrayType(element, _) => 1 + arrayDepth(element)
    case _ => 0
  }

  private def isVectorStorage(dataType: DataType): Boolean = dataType match {
    case ArrayType(FloatType | DoubleType, _) => true
    case _ => false
  }

  /** What is wrong with a chunk of `rows` rows in a file of `fileBytes` bytes. */
  private def chunkProblem(chunk: ChunkEntry, column: ColumnEntry, fileBytes: Long, rows: Long): Option[String] = {
    def inside(offset: Long, bytes: Long) = offset >= 4 && offset % Alignment == 0 && bytes <= fileBytes - offset
    if (!chunk.isRaw)
      Option.when(chunk.valuesBytes != 0 || chunk.indexOffset != -1)("it is not raw and has values")
    else if (!inside(chunk.valuesOffset, chunk.valuesBytes))
      Some(s"${chunk.valuesBytes} bytes at ${chunk.valuesOffset} are not an aligned part of $fileBytes bytes")
    else if (chunk.indexOffset == -1 && Indexed(column.storage))
      Some(s"a ${column.storage} column needs a row index")
    else if (chunk.indexOffset != -1 && !Indexed(column.storage) && !mayBecomeRagged(column))
      Some(s"a ${column.storage} column has no row index")
    else if (chunk.indexOffset != -1 && !inside(chunk.indexOffset, 4 * (rows + 1)))
      Some(s"an index of $rows rows at ${chunk.indexOffset} is not an aligned part of $fileBytes bytes")
    else
      expectedBytes(column, rows) match {
        case Some(expected) if expected != chunk.valuesBytes =>
          Some(s"$rows rows take $expected bytes, and it has ${chunk.valuesBytes}")
        case None if column.storage == "nested" || (column.storage == "scalar" && column.storedDtype.isEmpty) =>
          Some(s"a ${column.storage} column without a dtype cannot be raw")
        case _ => None
      }
  }

  /** Bytes of the values of `rows` rows, where they follow from the column alone. */
  private def expectedBytes(column: ColumnEntry, rows: Long): Option[BigInt] =
    for {
      stored <- column.storedDtype
      elements <- if (column.storage == "scalar") Some(BigInt(1)) else column.shape.map(_.map(BigInt(_)).product)
    } yield (elements * rows * StoredBits(stored) + 7) / 8
}
