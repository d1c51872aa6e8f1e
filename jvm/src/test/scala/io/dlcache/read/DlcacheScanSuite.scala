package io.dlcache.read

import java.nio.file.{Files, StandardOpenOption}

import io.dlcache.error.DlcacheException
import io.dlcache.manifest.{ColumnEntry, Manifests}
import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._

class DlcacheScanSuite extends ReadTest {

  private def scanOf(data: DataFrame): DlcacheScan = {
    val scans = data.queryExecution.optimizedPlan.collectLeaves().map(_.productIterator.collectFirst {
      case s: DlcacheScan => s
    })
    scans.flatten.head
  }

  private def vectors(names: String*)(columns: Seq[ColumnEntry]): Seq[ColumnEntry] = columns.map { column =>
    if (names.contains(column.name))
      Manifests.scalar("float32", column.path: _*).copy(storage = "ragged", udt = Some("ml"))
    else column
  }

  private lazy val numbers =
    dataset(
      spark.range(0, 10000, 1, 4).selectExpr("id", "id * 2 as twice", "cast(id as string) as s", "array(id, id) as a"),
      rowGroupBytes = 1 << 13
    )

  test("rows come back equal, in the dataset's order, whatever the partitions are") {
    val expected = 0L until 10000L
    for (maxBytes <- Seq("20k", "128m"))
      withConf("spark.sql.files.maxPartitionBytes" -> maxBytes, "spark.sql.files.openCostInBytes" -> 0) {
        val read = load(numbers)
        assert(read.rdd.getNumPartitions > 1)
        assert(read.select("id").collect().map(_.getLong(0)).toSeq == expected)
        assert(read.collect().forall(r => r.getLong(1) == r.getLong(0) * 2 && r.getString(2).toLong == r.getLong(0)))
      }
  }

  test("columns are pruned, also inside structs, and filters are pushed and still applied") {
    val query = load(numbers).where("id > 9990 and twice < 19990").select("s")
    val scan = scanOf(query)
    assert(scan.readSchema().fieldNames.toSet == Set("id", "twice", "s"))
    assert(scan.description().contains("GreaterThan(id,9990)"))
    assert(query.collect().map(_.getString(0)).toSeq == Seq("9991", "9992", "9993", "9994"))

    val nested = dataset(spark.range(10).selectExpr("named_struct('a', id, 'b', named_struct('c', id, 'd', id)) as s"))
    val pruned = load(nested).select("s.b.d")
    assert(scanOf(pruned).readSchema().catalogString == "struct<s:struct<b:struct<d:bigint>>>")
    assert(pruned.collect().map(_.getLong(0)).toSeq == (0L until 10L))
  }

  test("row groups are skipped by their statistics") {
    def rowsRead(query: DataFrame): Long = {
      query.collect()
      query.queryExecution.executedPlan
        .collectLeaves()
        .flatMap(_.metrics.get(ReadMetrics.Rows).map(_.value))
        .sum
    }
    assert(rowsRead(load(numbers).select("id")) == 10000)
    withConf("spark.sql.adaptive.enabled" -> false) {
      assert(rowsRead(load(numbers).where("id = 17").select("id")) < 2500)
      assert(rowsRead(load(numbers).where("id < 0").select("id")) == 0)
    }
  }

  test("statistics are the manifest's") {
    val manifest = store(numbers).current().get
    val all = scanOf(load(numbers)).estimateStatistics()
    assert(all.numRows().getAsLong == 10000)
    assert(math.abs(all.sizeInBytes().getAsLong - manifest.bytes) <= manifest.columns.size)
    val one = scanOf(load(numbers).select("id")).estimateStatistics()
    assert(one.sizeInBytes().getAsLong < manifest.bytes / 2 && one.numRows().getAsLong == 10000)
  }

  test("the size of raw columns is known exactly, and vectors of float32 are twice that in Spark") {
    val manifest = Manifests.sample
    def bytes(column: String) = ReadStatistics.of(manifest, StructType(Seq(manifest.schema(column)))).bytes
    assert(bytes("id") == 25 * 8)
    assert(bytes("features") == 25 * 4 * 4 * 2)
    assert(bytes("s") == 25 * 4 + 25 * 9)
    assert(ReadStatistics.of(manifest, manifest.schema).bytes > manifest.bytes)
  }

  test("counts come from the manifest: no shard is opened") {
    val withNulls = dataset(
      spark.range(0, 100, 1, 3).selectExpr("id", "if(id % 4 = 0, null, id) as n"),
      columns = _.map(c => if (c.name == "n") c.copy(nulls = 25) else c)
    )
    val read = load(withNulls)
    assert(read.selectExpr("count(distinct n)").head() == Row(75L))
    assert(read.where("n is null").count() == 25)
    assert(read.groupBy(col("id") % 2).count().collect().map(_.getLong(1)).sum == 100)
    assert(read.selectExpr("count(id) + 1", "max(n)").head() == Row(101L, 99L))
    assert(read.select().rdd.count() == 100)
    store(withNulls).current().get.shards.foreach(shard => Files.delete(withNulls.resolve(shard.path)))
    assert(read.count() == 100)
    assert(read.selectExpr("count(1)", "count(n)", "count(id) * 2").head() == Row(100L, 75L, 200L))
  }

  test("the plan is columnar, and says what it reads") {
    val plan = load(numbers).queryExecution.executedPlan
    assert(plan.collectLeaves().forall(_.supportsColumnar))
    assert(plan.toString.contains("version=1, rows=10000, shards=4"))
  }

  test("equal scans are read once") {
    val a = load(numbers).select("id")
    val b = load(numbers).select("id")
    assert(scanOf(a) == scanOf(b) && scanOf(a).hashCode() == scanOf(b).hashCode())
    assert(scanOf(a).toBatch == scanOf(b).toBatch && scanOf(a).toBatch.hashCode() == scanOf(b).toBatch.hashCode())
    assert(scanOf(a) != scanOf(load(numbers).select("s")))
    assert(scanOf(a) != scanOf(load(numbers).select("id").where("id > 5")))
  }

  private val vectorRows = Seq[(Long, Array[Float], Array[Double], Array[Float])](
    (1L, Array(1.5f, -2.25f), Array(0.1, 0.2, 0.3), Array(7f)),
    (2L, null, Array.empty, null),
    (3L, Array.empty, null, Array(Float.MaxValue, Float.NaN))
  )

  private def vectorDataset = {
    val data = spark
      .createDataFrame(vectorRows)
      .toDF("id", "f", "d", "inner")
      .selectExpr("id", "f", "d", "if(id = 2, null, named_struct('x', id, 'v', inner)) as s")
    dataset(data.coalesce(1), columns = vectors("f", "d", "s.v"))
  }

  test("arrays that were vectors come back as vectors, by column and by row") {
    def vector(values: Array[Double]) = if (values == null) null else Vectors.dense(values)
    val expected = vectorRows.map { case (id, f, d, inner) =>
      val struct = if (id == 2) null else Row(id, vector(inner.map(_.toDouble)))
      Row(id, Option(f).map(a => vector(a.map(_.toDouble))).orNull, vector(d), struct)
    }
    val directory = vectorDataset
    for (columnar <- Seq(true, false))
      withConf("spark.sql.parquet.enableVectorizedReader" -> columnar) {
        val read = load(directory)
        assert(read.schema("f").dataType == SQLDataTypes.VectorType)
        assert(read.queryExecution.executedPlan.collectLeaves().exists(_.supportsColumnar) == columnar)
        assert(read.collect().toSeq == expected)
        assert(read.select("s.v").collect().toSeq == expected.map(r =>
          Row(Option(r.getStruct(3)).map(_.get(1)).orNull)
        ))
        assert(read.where("f is null").select("id").collect().toSeq == Seq(Row(2L)))
        assert(read.cache().unpersist().repartition(3).collect().toSet == expected.toSet)
      }
  }

  test("a declared schema is the dataset's, or part of it, or is refused with its reason") {
    val actual = StructType.fromDDL("a INT NOT NULL, b ARRAY<STRUCT<c: STRING, d: INT>>, e INT")
    def mismatch(ddl: String) = ReadSchema.mismatch(StructType.fromDDL(ddl), actual)
    assert(mismatch("a INT NOT NULL, b ARRAY<STRUCT<c: STRING, d: INT>>, e INT").isEmpty)
    assert(mismatch("e INT, a INT").isEmpty)
    assert(mismatch("x INT").contains(SchemaMismatch("x", "is not in the dataset")))
    assert(mismatch("a BIGINT").contains(SchemaMismatch("a", "is int, not bigint")))
    assert(mismatch("e INT NOT NULL").exists(_.column == "e"))
    assert(mismatch("b ARRAY<STRUCT<c: INT>>").exists(_.column == "b"))
  }

  test("a shard that is missing, of another length, or not Parquet is named before its rows are given") {
    def failure(change: java.nio.file.Path => Unit): (String, String) = {
      val directory = dataset(spark.range(0, 1000, 1, 1).toDF())
      val shard = directory.resolve(store(directory).current().get.shards.head.path)
      change(shard)
      val error = intercept[Exception](load(directory).collect())
      val named = Iterator.iterate[Throwable](error)(_.getCause).takeWhile(_ != null).collectFirst {
        case e: DlcacheException => e
      }
      assert(named.exists(_.getMessageParameters.get("path").endsWith(shard.getFileName.toString)), error)
      (named.get.getCondition, named.get.getMessage)
    }
    assert(failure(Files.delete)._1 == "DLCACHE_SHARD_MISSING")
    val (cut, message) = failure(f => Files.write(f, Files.readAllBytes(f).dropRight(100)): Unit)
    assert(cut == "DLCACHE_SHARD_DAMAGED" && message.contains("was written with"))
    val (grown, _) = failure(f => Files.write(f, Array[Byte](0), StandardOpenOption.APPEND): Unit)
    assert(grown == "DLCACHE_SHARD_DAMAGED")
    val (zeroed, _) = failure(f => Files.write(f, new Array[Byte](Files.size(f).toInt)): Unit)
    assert(zeroed == "DLCACHE_SHARD_DAMAGED")
    val (footer, _) = failure { f =>
      val bytes = Files.readAllBytes(f)
      for (i <- bytes.length - 300 until bytes.length - 8) bytes(i) = 0x5a
      Files.write(f, bytes): Unit
    }
    assert(footer == "DLCACHE_SHARD_DAMAGED")
    val (other, _) = failure { f =>
      spark.range(1000).selectExpr("cast(id as string) as id").coalesce(1).write.parquet(s"$f.other")
      val bytes =
        Files.list(java.nio.file.Path.of(s"$f.other")).filter(_.toString.endsWith(".parquet")).findFirst().get()
      val data = Files.readAllBytes(bytes)
      val manifest = store(f.getParent.getParent).current().get
      val file = f.getParent.getParent.resolve("_dlcache/00000000000000000001.json")
      val text = io.dlcache.manifest.ManifestJson
        .write(manifest.copy(shards = manifest.shards.map(_.copy(bytes = data.length.toLong))))
      Files.writeString(file, text)
      Files.write(f, data): Unit
    }
    assert(other == "DLCACHE_SHARD_DAMAGED")
  }

  test("an empty dataset has its schema and no rows") {
    val empty = load(dataset(spark.range(0).selectExpr("id", "array(id) as a")))
    assert(empty.schema.fieldNames.toSeq == Seq("id", "a"))
    assert(empty.collect().isEmpty && empty.count() == 0)
  }
}
