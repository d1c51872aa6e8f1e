package io.dlcache.manifest

import java.time.Instant
import java.util.UUID

import org.apache.spark.sql.types.{ArrayType, FloatType, LongType, StringType, StructType}
import org.scalacheck.Gen

/** Manifests to test with. */
private[dlcache] object Manifests {

  /** A name that the format allows, one for each number. */
  def shardPath(number: Int): String = s"data/part-$number-${new UUID(0, number.toLong)}.parquet"

  val digest: String = "0123456789abcdef" * 4

  def column(path: String*): ColumnEntry =
    ColumnEntry(path, "nested", None, None, None, None, None, None, None, None, 0, 0, None)

  def scalar(dtype: String, path: String*): ColumnEntry =
    column(path: _*).copy(storage = "scalar", dtype = Some(dtype), storedDtype = Some(dtype))

  def tensor(shape: Seq[Int], path: String*): ColumnEntry =
    column(path: _*).copy(
      storage = "tensor",
      dtype = Some("float32"),
      storedDtype = Some("float32"),
      shape = Some(shape)
    )

  def empty(version: Long = 1, schema: StructType = new StructType(), columns: Seq[ColumnEntry] = Nil): Manifest =
    Manifest(
      datasetId = UUID.randomUUID().toString,
      version = version,
      createdAt = Instant.parse("2026-11-23T08:15:30.123Z"),
      createdBy = "dlcache test",
      planKey = PlanKeyEntry("durable", digest, None),
      explanation = None,
      schema = schema,
      unpacked = None,
      columns = columns,
      shards = Nil,
      options = Map.empty,
      timeToLive = None
    )

  /** Two shards of an int64, a float32 tensor, a ragged column, strings and a nested column, most of them raw. */
  val sample: Manifest = {
    val schema = new StructType()
      .add("id", LongType)
      .add("features", ArrayType(FloatType, containsNull = false), nullable = false)
      .add("s", new StructType().add("ragged", ArrayType(FloatType)).add("t", StringType))
      .add("other", ArrayType(StringType))
    empty(3, schema).copy(
      columns = Seq(
        scalar("int64", "id"),
        tensor(Seq(4), "features").copy(udt = Some("ml")),
        scalar("float32", "s", "ragged").copy(storage = "ragged", lengths = Some((0, 7))),
        column("s", "t").copy(storage = "string", lengths = Some((1, 20)), nulls = 2),
        column("other")
      ),
      shards = Seq(
        shard(shardPath(0), 1, rows = 10, groupRows = 10),
        shard(shardPath(1), 3, rows = 15, groupRows = 10)
      ),
      options = Map("dtype" -> "float32", "compression" -> "none"),
      timeToLive = Some(3600)
    )
  }

  private def shard(path: String, version: Long, rows: Long, groupRows: Int): ShardEntry = {
    val groups = Seq.range(0L, rows, groupRows.toLong).map(first => math.min(groupRows.toLong, rows - first))
    def raw(offset: Long, bytes: Long => Long, indexed: Boolean) = Some(groups.map { n =>
      ChunkEntry(offset, bytes(n), if (indexed) 6400 else -1)
    })
    val chunks =
      Seq(raw(64, _ * 8, false), raw(640, _ * 16, false), raw(1280, _ * 4, true), raw(1920, _ * 9, true), None)
    ShardEntry(path, version, rows, 10000, 4000000000L, groupRows, chunks)
  }

  private val name: Gen[String] = Gen.oneOf(
    Gen.identifier,
    Gen.oneOf("a.b", "with space", "\"quoted\"", "`tick`", "naïve", "列", "\\", "'", "\u0001", "😀", "a/b", "%41")
  )

  /** Any valid manifest of scalars, tensors and columns that are not raw. */
  val any: Gen[Manifest] = for {
    version <- Gen.choose(1L, 1000000L)
    names <- Gen.listOf(name).map(_.distinct)
    shape <- Gen.nonEmptyListOf(Gen.choose(1, 6)).map(_.take(3))
    storages <- Gen.listOfN(names.size, Gen.oneOf(true, false))
    rowCounts <- Gen.listOf(Gen.choose(1L, 5000L))
    groupRows <- Gen.choose(1, 700)
    options <- Gen.mapOf(Gen.zip(name, name))
    ttl <- Gen.option(Gen.choose(0L, Long.MaxValue))
    application <- Gen.option(name)
    millis <- Gen.choose(0L, 4102444800000L)
  } yield {
    val tensorType = shape.foldLeft(FloatType: org.apache.spark.sql.types.DataType)((t, _) => ArrayType(t))
    val schema = names.zip(storages).foldLeft(new StructType()) { case (schema, (column, isTensor)) =>
      schema.add(column, if (isTensor) tensorType else LongType)
    }
    val columns = names.zip(storages).map { case (column, isTensor) =>
      if (isTensor) tensor(shape, column) else scalar("int64", column)
    }
    val shards = rowCounts.zipWithIndex.map { case (rows, i) =>
      val groups = Seq.range(0L, rows, groupRows.toLong).map(first => math.min(groupRows.toLong, rows - first))
      val chunks = storages.map { isTensor =>
        val width = if (isTensor) shape.product * 4L else 8L
        Option.when(i % 2 == 0)(groups.map(n => ChunkEntry(64, n * width, -1)))
      }
      ShardEntry(shardPath(i), version, rows, 1L << 40, i.toLong, groupRows, chunks)
    }
    empty(version, schema, columns).copy(
      createdAt = Instant.ofEpochMilli(millis),
      planKey = PlanKeyEntry(if (application.isEmpty) "user" else "session", digest, application),
      shards = shards,
      options = options,
      timeToLive = ttl,
      writtenKeys = application.toSeq.flatMap(id =>
        Seq(PlanKeyEntry("session", digest, Some(id)), PlanKeyEntry("durable", digest.reverse, None))
      )
    )
  }
}
