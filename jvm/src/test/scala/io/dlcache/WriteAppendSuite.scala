package io.dlcache

import io.dlcache.manifest.ColumnEntry
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{array, col, expr, lit}
import org.scalatest.funsuite.AnyFunSuite

class WriteAppendSuite extends AnyFunSuite with WriteTest {

  private def rows(from: Long, until: Long): DataFrame = spark
    .range(from, until, 1, 2)
    .select(
      col("id"),
      (col("id") * 0.5).as("half"),
      expr("cast(id % 3 as int)").as("class"),
      expr("concat('c', id % 5)").as("name"),
      expr("id % 2 = 0").as("even"),
      expr("array(cast(id as float), cast(id * id as float))").as("pair"),
      expr("sequence(0L, id % 4)").as("some"),
      expr("named_struct('x', id, 'y', if(id % 7 = 0, null, id))").as("point")
    )

  private def append(path: String, data: DataFrame, options: (String, String)*): Unit =
    data.write.format("dlcache").mode("append").options(options.toMap).save(path)

  private def assertClose(a: ColumnEntry, b: ColumnEntry): Unit = {
    assert(a.copy(statistics = None) == b.copy(statistics = None))
    val numbers = Seq("count", "min", "max", "mean", "variance")
    (a.statistics, b.statistics) match {
      case (Some(x), Some(y)) =>
        assert(x.get("classes") == y.get("classes"), a.name)
        numbers.foreach { name =>
          assert(x.has(name) == y.has(name), a.name)
          if (x.has(name)) {
            val (left, right) = (values(x.get(name)), values(y.get(name)))
            assert(left.size == right.size)
            left.zip(right).foreach { case (u, v) => assert(math.abs(u - v) <= 1e-9 * (1 + math.abs(v)), a.name) }
          }
        }
      case (x, y) => assert(x == y)
    }
  }

  private def values(node: com.fasterxml.jackson.databind.JsonNode): Seq[Double] =
    if (node.isArray) (0 until node.size).map(i => node.get(i).asDouble) else Seq(node.asDouble)

  test("parts that are appended are entered as the whole is") {
    val (whole, parts) = (newPath(), newPath())
    append(whole, rows(0, 100))
    Seq((0L, 0L), (0L, 30L), (30L, 30L), (30L, 31L), (31L, 100L)).foreach { case (a, b) => append(parts, rows(a, b)) }
    assert(current(parts).version == 5)
    assert(current(parts).schema == current(whole).schema)
    current(parts).columns.zip(current(whole).columns).foreach { case (a, b) => assertClose(a, b) }
    assert(ids(parts) == ids(whole))
    assert(read(parts).collect().toSeq.map(_.toString).sorted == read(whole).collect().toSeq.map(_.toString).sorted)
  }

  test("an element that is NaN in one part, and int64 beyond the digits of doubles, have the numbers of the whole") {
    val path = newPath()
    val most = (1L << 53) + 1
    append(path, spark.range(3).selectExpr("array(double('NaN'), double(id)) as x", s"array(id + $most, id) as n"))
    append(path, spark.range(3, 5).selectExpr("array(double(id), double(id)) as x", "array(id, id) as n"))
    val Seq(x, n) = current(path).columns.map(_.statistics.get): @unchecked
    assert(x.get("mean").toString == "[3.5,2.0]" && x.get("min").toString == "[3.0,0.0]")
    assert(n.get("max").toString == s"[${most + 2},4]" && n.get("min").toString == "[3,0]")
  }

  test("tensors of another shape make the column ragged, or nested if it has more dimensions") {
    val path = newPath()
    def data(n: Int) =
      spark.range(3).select(expr(s"array_repeat(1.5f, $n)").as("v"), expr(s"array(array_repeat(1, $n))").as("m"))
    append(path, data(2))
    assert(current(path).columns.map(_.storage) == Seq("tensor", "tensor"))
    append(path, data(2), "ifAppended" -> "append")
    assert(current(path).columns.map(_.shape) == Seq(Some(Seq(2)), Some(Seq(1, 2))))
    append(path, data(3), "ifShapeChanges" -> "allow")
    val (v, m) = (current(path).columns.head, current(path).columns.last)
    assert(v.storage == "ragged" && v.lengths.contains((2, 3)) && v.statistics.get.get("count").asLong == 21)
    assert(m.storage == "nested" && m.dtype.isEmpty && m.statistics.isEmpty)
    current(path).shards.foreach(shard => assert(shard.chunks(0).isDefined && shard.chunks(1).isEmpty))
    assert(read(path).selectExpr("sum(size(v)) + sum(size(m[0]))").head().getLong(0) == 42)
    // The versions before say what they said.
    assert(store(path).read(2).columns.map(_.storage) == Seq("tensor", "tensor"))
  }

  test("columns are matched by name") {
    val path = newPath()
    append(path, rows(0, 10))
    val columns = rows(10, 20).columns.reverse.map(col)
    append(path, rows(10, 20).select(columns.toSeq: _*).withColumnRenamed("id", "ID"))
    assert(current(path).schema.fieldNames.toSeq == rows(0, 1).columns.toSeq)
    assert(ids(path) == (0L until 20L))
  }

  test("columns that do not fit are refused by name before a job runs") {
    val path = newPath()
    append(path, rows(0, 10))
    val before = current(path)
    val cases = Seq(
      rows(0, 5).drop("class") -> "class",
      rows(0, 5).withColumn("more", lit(1)) -> "more",
      rows(0, 5).withColumn("half", col("half").cast("float")) -> "half",
      rows(0, 5).withColumn("pair", array(lit(1.0))) -> "pair",
      rows(0, 5).withColumn("point", expr("named_struct('x', id, 'z', id)")) -> "point"
    )
    cases.foreach { case (data, column) =>
      val count = stages {
        val e = refusal("DLCACHE_COLUMNS_MISMATCH")(append(path, data))
        assert(e.getMessageParameters.get("column") == column)
      }
      assert(count == 0)
    }
    val e = refusal("DLCACHE_COLUMNS_MISMATCH")(append(path, rows(0, 5), "dtype" -> "float32"))
    assert(e.getMessageParameters.get("column") == "half")
    assert(current(path) == before && files(path) == namedFiles(path))
  }

  test("what may be null in one part may be null in the whole") {
    val path = newPath()
    append(path, spark.range(3).toDF("id"))
    append(path, spark.sql("SELECT if(id = 4, null, id) AS id FROM range(4, 6)"))
    assert(!store(path).read(1).schema.head.nullable && current(path).schema.head.nullable)
    assert(read(path).where("id IS NULL").count() == 1)
  }

  test("vectors are appended to vectors only") {
    import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
    import org.apache.spark.sql.Row
    import org.apache.spark.sql.types.StructType
    val schema = new StructType().add("v", SQLDataTypes.VectorType)
    def vectors(each: org.apache.spark.ml.linalg.Vector*) =
      spark.createDataFrame(java.util.Arrays.asList(each.map(Row(_)): _*), schema)
    val path = newPath()
    append(path, vectors(Vectors.dense(1, 2)))
    append(path, vectors(Vectors.sparse(2, Array(1), Array(4.0))))
    assert(read(path).collect().toSeq.map(_.getAs[Any](0)) == Seq(Vectors.dense(1, 2), Vectors.dense(0, 4)))
    assert(current(path).columns.head.shape.contains(Seq(2)))
    val e = refusal("DLCACHE_COLUMNS_MISMATCH")(append(path, spark.sql("SELECT array(1D, 2D) AS v")))
    assert(e.getMessage.contains("a vector of ml"))
  }

  test("after an append no plan has the key, so neither part is a hit") {
    val path = newPath()
    append(path, rows(0, 10))
    val first = current(path).planKey
    append(path, rows(10, 20))
    assert(current(path).planKey.digest.matches("[0-9a-f]{64}"))
    assert(current(path).planKey.digest != first.digest)
    Seq(rows(0, 10), rows(10, 20)).foreach { part =>
      val e = refusal("DLCACHE_KEY_MISMATCH")(part.write.format("dlcache").save(path))
      assert(e.getMessage.contains("from another plan"))
    }
  }

  test("a time to live is the last write's, or stays") {
    val path = newPath()
    append(path, rows(0, 4), "ttl" -> "7d")
    append(path, rows(4, 8))
    assert(current(path).timeToLive.contains(7L * 86400))
    append(path, rows(8, 12), "ttl" -> "1d")
    assert(current(path).timeToLive.contains(86400L))
    rows(0, 1).write.format("dlcache").mode("overwrite").save(path)
    assert(current(path).timeToLive.isEmpty)
  }
}
