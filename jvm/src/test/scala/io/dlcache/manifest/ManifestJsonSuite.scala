package io.dlcache.manifest

import java.util.UUID

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.{ArrayNode, ObjectNode}
import io.dlcache.error.DlcacheException
import org.apache.spark.sql.types.{ArrayType, FloatType, LongType, StructType}
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

class ManifestJsonSuite extends AnyFunSuite with ScalaCheckPropertyChecks {

  private val mapper = ManifestJson.mapper
  private val path = "/d/_dlcache/00000000000000000003.json"

  private def reject(text: String): String = {
    val error = intercept[DlcacheException](ManifestJson.parse(text, path))
    assert(error.getCondition == "DLCACHE_MANIFEST_INVALID")
    assert(error.getMessageParameters.get("path") == path)
    error.getMessageParameters.get("reason")
  }

  /** Without its checksum, as old writers wrote it. */
  private def tree(manifest: Manifest): ObjectNode = {
    val root = mapper.readTree(ManifestJson.write(manifest)).asInstanceOf[ObjectNode]
    root.remove("sha256")
    root
  }

  private def edited(change: ObjectNode => Unit): String = {
    val root = tree(Manifests.sample)
    change(root)
    mapper.writeValueAsString(root)
  }

  private def set(pointer: String, value: Any): ObjectNode => Unit = { root =>
    val cut = pointer.lastIndexOf('/')
    val key = pointer.substring(cut + 1)
    (root.at(pointer.substring(0, cut)), mapper.valueToTree[JsonNode](value)) match {
      case (array: ArrayNode, node) => array.set(key.toInt, node): Unit
      case (parent: ObjectNode, node) => parent.set[JsonNode](key, node): Unit
      case (other, _) => fail(s"$pointer is in $other")
    }
  }

  test("what is written is read back equal") {
    forAll(Manifests.any)(manifest => assert(ManifestJson.parse(ManifestJson.write(manifest), path) == manifest))
    assert(ManifestJson.parse(ManifestJson.write(Manifests.sample), path) == Manifests.sample)
  }

  test("statistics and explanation are passed through, numbers exact") {
    val statistics =
      mapper.readTree("""{"count":9007199254740993,"mean":0.1,"min":-1.7976931348623157E308,"max":"Infinity"}""")
    val explanation = mapper.readTree("""{"plan":[1,2.5,null,true,"x"]}""")
    val columns = Manifests.sample.columns.map(_.copy(statistics = Some(statistics)))
    val manifest = Manifests.sample.copy(columns = columns, explanation = Some(explanation))
    assert(ManifestJson.parse(ManifestJson.write(manifest), path) == manifest)
  }

  test("optional keys are absent, not null, and the text is one line for each key, column and shard") {
    val text = ManifestJson.write(Manifests.sample)
    val tree = mapper.readTree(text)
    assert(
      !tree.has("explanation") && !tree.at("/columns/0").has("shape") && !tree.at("/plan-key").has("application-id")
    )
    val columnsAndShards = Manifests.sample.columns.size + Manifests.sample.shards.size
    assert(text.linesIterator.size == tree.size() + columnsAndShards + 4)
    val keys = Seq(
      "format-version",
      "dataset-id",
      "version",
      "created-at",
      "created-by",
      "plan-key",
      "schema",
      "rows",
      "bytes",
      "options",
      "ttl-seconds",
      "columns",
      "shards",
      "sha256"
    )
    assert(tree.properties().asScala.iterator.map(_.getKey).toSeq == keys)
  }

  test("unknown keys are ignored") {
    val text = edited { root =>
      root.put("new-key", 1)
      root.at("/shards/0").asInstanceOf[ObjectNode].put("new-key", 1)
      root.at("/columns/0").asInstanceOf[ObjectNode].putNull("new-key"): Unit
    }
    assert(ManifestJson.parse(text, path) == Manifests.sample)
  }

  test("every key that is required is missed by its name") {
    val root = tree(Manifests.sample)
    val optional = Set("ttl-seconds", "explanation", "unpacked-schema")
    val optionalInColumn = Set("lengths", "logical", "precision", "scale", "udt", "elements", "statistics")
    for (
      (pointer, skipped) <- Seq(
        "" -> optional,
        "/plan-key" -> Set.empty[String],
        "/shards/1" -> Set.empty[String],
        "/columns/1" -> optionalInColumn
      )
    )
      root.at(pointer).fieldNames().forEachRemaining { key =>
        if (!skipped(key)) {
          val reason = reject(edited(_.at(pointer).asInstanceOf[ObjectNode].remove(key): Unit))
          assert(reason.contains(key), reason)
        }
      }
  }

  test("a value of the wrong type, or out of its range, is named with its place") {
    val cases = Seq[(String, Any, String)](
      ("/format-version", 2, "format-version is 2"),
      ("/format-version", "1", "format-version is not a 64-bit integer"),
      ("/dataset-id", "../../etc", "dataset-id"),
      ("/version", 0, "version is 0"),
      ("/version", 1.5, "version is not"),
      ("/created-at", "yesterday", "created-at"),
      ("/created-by", 7, "created-by is not a string"),
      ("/plan-key/scope", "mine", "plan-key.scope"),
      ("/plan-key/digest", "abc", "plan-key.digest"),
      ("/plan-key/scope", "session", "application-id"),
      ("/explanation", "text", "explanation is not an object"),
      ("/rows", 24, "rows is 24"),
      ("/bytes", 1, "bytes is 1"),
      ("/options/dtype", 32, "options.dtype is not a string"),
      ("/ttl-seconds", -1, "ttl-seconds is -1"),
      ("/columns/0/name", "other", "columns[0]"),
      ("/columns/0/path/0", "other", "columns[0]"),
      ("/columns/0/storage", "scaler", "columns[0].storage"),
      ("/columns/0/dtype", "int63", "columns[0].dtype"),
      ("/columns/0/logical", "day", "columns[0].logical"),
      ("/columns/0/udt", "ml", "columns[0]"),
      ("/columns/1/udt", "java.lang.Runtime", "columns[1].udt"),
      ("/columns/1/shape/0", 0, "columns[1].shape[0]"),
      ("/columns/1/shape", Array(2, 2), "rank 2"),
      ("/columns/1/shape", Array(Int.MaxValue), "too large"),
      ("/columns/1/nulls", 1, "tensor column with nulls"),
      ("/columns/3/nulls", 26, "there are 25 rows"),
      ("/columns/3/nulls", -1, "columns[3].nulls is -1"),
      ("/columns/2/lengths", Array(2, 1), "columns[2].lengths"),
      ("/shards/0/rows", 0, "shards[0].rows"),
      ("/shards/0/rows", Long.MaxValue, "row groups in 10000 bytes"),
      ("/shards/0/bytes", -5, "shards[0].bytes is -5"),
      ("/shards/0/bytes", 700, "not an aligned part of 700 bytes"),
      ("/shards/0/crc32", 4294967296L, "shards[0].crc32"),
      ("/shards/0/version", 4, "shards[0].version"),
      ("/shards/0/row-group-rows", 0, "shards[0].row-group-rows"),
      ("/shards/0/row-group-rows", 3, "three integers for each of 4 row groups"),
      ("/shards/0/row-group-rows", 2147483648L, "shards[0].row-group-rows"),
      ("/shards/0/chunks", Array(null, null), "shards[0].chunks has 2 entries"),
      ("/shards/0/chunks/0", Array(64, 80), "shards[0].chunks[0]"),
      ("/shards/0/chunks/0", Array(65, 80, -1), "aligned"),
      ("/shards/0/chunks/0", Array(0, 80, -1), "aligned"),
      ("/shards/0/chunks/0", Array(9984, 80, -1), "aligned part of 10000 bytes"),
      ("/shards/0/chunks/0", Array(Long.MaxValue / 64 * 64, 80, -1), "aligned part"),
      ("/shards/0/chunks/0", Array(64, 79, -1), "10 rows take 80 bytes"),
      ("/shards/0/chunks/0", Array(64, 80, 128), "has no row index"),
      ("/shards/0/chunks/0", Array(-1, 80, -1), "not raw and has values"),
      ("/shards/0/chunks/2", Array(1280, 40, -1), "needs a row index"),
      ("/shards/0/chunks/2", Array(1280, 40, 9984), "index of 10 rows"),
      ("/shards/0/chunks/4", Array(1280, 40, -1), "cannot be raw"),
      ("/shards/1/path", Manifests.shardPath(0), "more than once")
    )
    for ((pointer, value, expected) <- cases) {
      val reason = reject(edited(set(pointer, value)))
      assert(reason.contains(expected), s"for $pointer = $value")
    }
  }

  test("a tensor of one dimension may have a row index, for a later version may be ragged") {
    val text = edited(set("/shards/0/chunks/1", Array(640, 160, 1280)))
    assert(ManifestJson.parse(text, path).shards.head.chunks(1).contains(Seq(ChunkEntry(640, 160, 1280))))
  }

  test("packed columns have names for their elements, and the unpacked schema has these in their place") {
    val schema = new StructType().add("x", ArrayType(FloatType, containsNull = false)).add("id", LongType)
    val unpacked = new StructType().add("b", FloatType).add("id", LongType).add("a", FloatType, nullable = false)
    val packed = Manifests
      .empty(1, schema, Seq(Manifests.tensor(Seq(2), "x"), Manifests.scalar("int64", "id")))
    val manifest = packed.copy(
      unpacked = Some(unpacked),
      columns = packed.columns.updated(0, packed.columns.head.copy(elements = Some(Seq("a", "b"))))
    )
    val good = ManifestJson.write(manifest)
    assert(ManifestJson.parse(good, path) == manifest)
    def refused(change: ObjectNode => Unit): String = {
      val root = tree(manifest)
      change(root)
      reject(root.toString)
    }
    assert(refused(_.remove("unpacked-schema"): Unit).contains("unpacked-schema"))
    assert(refused(set("/columns/0/elements", Array("a"))).contains("elements"))
    assert(refused(set("/columns/0/elements", Array("a", "c"))).contains("unpacked-schema"))
    assert(refused(set("/columns/0/elements", Array("a", "a"))).contains("unpacked-schema"))
    assert(refused(set("/unpacked-schema/fields/0/type", "double")).contains("unpacked-schema"))
    assert(refused(set("/unpacked-schema/fields/1/name", "x")).contains("unpacked-schema"))
    assert(refused(_.at("/columns/0").asInstanceOf[ObjectNode].remove("elements"): Unit).contains("elements"))
    assert(refused(set("/columns/1/elements", Array("id"))).contains("packed column"))
  }

  test("a shard path that could leave the data directory is refused") {
    val paths = Seq(
      "../x.parquet",
      "data/../../x.parquet",
      "/etc/x.parquet",
      "file:///x.parquet",
      "data/a/b.parquet",
      "data//b.parquet",
      "data/..parquet",
      "data/.hidden.parquet",
      "data\\x.parquet",
      "data/a\\..\\x.parquet",
      "data/s3://x.parquet",
      "data/a\u0000.parquet",
      "data/x.txt",
      "data/",
      "",
      "data/a.parquet",
      s"data/x${new UUID(0, 0)}.parquet",
      s"data/part.1-${new UUID(0, 0)}.parquet",
      s"data/${new UUID(-1, -1).toString.toUpperCase}.parquet",
      Manifests.shardPath(0) + "\n"
    )
    paths.foreach(shardPath => assert(reject(edited(set("/shards/0/path", shardPath))).contains("shards[0].path")))
  }

  test("a user-defined type in the schema is refused, and its class is not touched") {
    val udt = mapper.readTree("""{"type":"udt","class":"io.dlcache.manifest.NeverLoaded","sqlType":"long"}""")
    for (
      pointer <-
        Seq("/schema/fields/0/type", "/schema/fields/1/type/elementType", "/schema/fields/2/type/fields/0/type")
    )
      assert(reject(edited(set(pointer, udt))).contains("'udt'"))
    assert(!NeverLoaded.loaded)
  }

  test("a schema that is not one, or not the one of the columns, is refused") {
    assert(reject(edited(set("/schema/fields/0/type", "lung"))).contains("not a Spark schema"))
    assert(reject(edited(set("/schema/fields/0/type", 5))).contains("schema.fields[0].type"))
    assert(reject(edited(_.put("schema", "long"): Unit)).contains("schema"))
    assert(reject(edited(set("/schema/fields", Array.empty[AnyRef]))).contains("the schema has 0 columns"))
  }

  test("text that is not a JSON object is refused") {
    val text = ManifestJson.write(Manifests.sample)
    Seq(
      "",
      " ",
      "{",
      "[]",
      "null",
      "7",
      "\"x\"",
      text + "{}",
      text.replace("\"rows\":25", "\"rows\":25,\"rows\":25"),
      "[" * 5000
    ).foreach(reject)
  }

  test("a text cut off or changed anywhere gives a manifest or the named error, and nothing else") {
    val text = tree(Manifests.sample).toPrettyString
    val mutation = for {
      position <- Gen.choose(0, text.length - 1)
      length <- Gen.choose(0, 3)
      patch <- Gen.oneOf(Gen.oneOf("-", "9", "\"", "}", "[", "null", "1e999", "0", "true", "{\"a\":1}"), Gen.asciiStr)
    } yield text.patch(position, patch, length)
    forAll(mutation, minSuccessful(2000)) { changed =>
      try ManifestJson.parse(changed, path): Unit
      catch { case e: DlcacheException => assert(e.getCondition == "DLCACHE_MANIFEST_INVALID") }
    }
    text.indices.foreach(end => reject(text.take(end).trim.stripSuffix("}")))
  }

  test("a manifest without a checksum is read: old writers wrote none") {
    assert(ManifestJson.parse(tree(Manifests.sample).toString, path) == Manifests.sample)
  }

  test("a byte that was changed is an error, or changes nothing that the manifest says") {
    val text = ManifestJson.write(Manifests.sample)
    val key = text.indexOf("\"sha256\"")
    text.indices.foreach { at =>
      (0 until 7).foreach { bit =>
        val changed = text.updated(at, (text.charAt(at) ^ 1 << bit).toChar)
        if (at > key && at < key + 7) {
          // Another key, which readers do not know.
          try assert(ManifestJson.parse(changed, path) == Manifests.sample)
          catch { case e: DlcacheException => assert(e.getCondition == "DLCACHE_MANIFEST_INVALID") }
        } else reject(changed)
      }
    }
    val digit = text.replace("\"rows\":25", "\"rows\":26")
    assert(reject(digit).contains("SHA-256"))
    assert(reject(text + "\n").contains("last line"))
    assert(reject(mapper.readTree(text).toString).contains("last line"))
  }

  test("any part replaced by anything gives a manifest or the named error, and nothing else") {
    val text = tree(Manifests.sample).toString
    val pointers = places(mapper.readTree(text), "").tail.toIndexedSeq
    val numbers = Gen.oneOf("-1", "0", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400")
    val long = Gen.oneOf("9" * 1200, "[" * 900 + "]" * 900, "{\"a\":" * 900 + "1" + "}" * 900)
    val others = Gen.oneOf(
      "null",
      "true",
      "[]",
      "{}",
      "\"\"",
      "\"../x\"",
      "\"\\u0000\"",
      "[[[]]]",
      "\"NaN\"",
      "1.5",
      "{\"type\":7}"
    )
    forAll(Gen.oneOf(pointers), Gen.oneOf(numbers, long, others), minSuccessful(3000)) { (pointer, value) =>
      val marked = edited(set(pointer, Marker)).replace(s"\"$Marker\"", value)
      try ManifestJson.parse(marked, path): Unit
      catch { case e: DlcacheException => assert(e.getCondition == "DLCACHE_MANIFEST_INVALID") }
    }
  }

  private val Marker = "what is replaced"

  /** The JSON pointers of a tree, its own first. */
  private def places(node: JsonNode, at: String): Seq[String] = {
    val below =
      if (node.isArray) node.elements().asScala.zipWithIndex.map { case (child, i) => s"$i" -> child }.toSeq
      else node.properties().asScala.map(member => member.getKey -> member.getValue).toSeq
    at +: below.flatMap { case (key, child) => places(child, s"$at/${key.replace("~", "~0").replace("/", "~1")}") }
  }
}

/** Says whether anyone made an instance of it. */
object NeverLoaded {
  @volatile var loaded = false
}

class NeverLoaded {
  NeverLoaded.loaded = true
}
