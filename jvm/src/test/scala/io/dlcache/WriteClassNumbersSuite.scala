package io.dlcache

import io.dlcache.error.DlcacheException
import io.dlcache.write.Alignment
import org.apache.spark.ml.feature.{Binarizer, Bucketizer, StringIndexer}
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{array, col, struct, when}
import org.apache.spark.sql.types._
import org.scalatest.funsuite.AnyFunSuite

/** Categorical columns of Spark ML are stored as integers and read as they were. */
class WriteClassNumbersSuite extends AnyFunSuite with WriteTest {

  private lazy val source = spark
    .range(0, 40, 1, 2)
    .selectExpr("id", "element_at(array('cat', 'dog', 'cow'), cast(id % 7 % 3 as int) + 1) AS animal", "id / 4D AS x")

  private lazy val indexed = {
    val labelled = new StringIndexer().setInputCol("animal").setOutputCol("label").fit(source).transform(source)
    val buckets = new Bucketizer().setInputCol("x").setOutputCol("bucket").setSplits(Array(0, 3, 6, 10))
    new Binarizer().setInputCol("x").setOutputCol("large").setThreshold(5).transform(buckets.transform(labelled))
  }

  private def write(data: DataFrame, path: String = newPath(), mode: String = "errorifexists")(
      options: (String, String)*
  ): String = {
    data.write.format("dlcache").options(options.toMap).mode(mode).save(path)
    path
  }

  private def dtypes(path: String): Map[String, String] =
    current(path).columns.flatMap(column => column.dtype.map(column.name -> _)).toMap

  private def cause(error: Throwable): DlcacheException =
    Iterator.iterate(error)(_.getCause).takeWhile(_ != null).collectFirst { case e: DlcacheException => e }.get

  /** A nominal attribute as Spark ML writes it. */
  private def nominal(data: DataFrame, column: String, labels: String*): DataFrame =
    data.withMetadata(
      column,
      Metadata.fromJson(
        s"""{"ml_attr": {"type": "nominal", "vals": [${labels.map(l => s""""$l"""").mkString(", ")}]}}"""
      )
    )

  test("what Spark ML indexes, buckets and binarizes is int64 on disk and double in Spark") {
    Seq("source", "float32").foreach { dtype =>
      val path = write(indexed)("dtype" -> dtype)
      val stored = dtypes(path)
      assert(Seq("label", "bucket", "large").map(stored) == Seq.fill(3)("int64"))
      assert(stored("x") == (if (dtype == "source") "float64" else "float32"))
      Seq("label", "bucket", "large").foreach { name =>
        assert(read(path).schema(name).dataType == DoubleType)
        assert(read(path).schema(name).metadata == indexed.schema(name).metadata)
        assert(read(path).select(name).collect().toSeq == indexed.select(name).collect().toSeq)
      }
      assert(read(path).where("label = 1").count() == indexed.where("label = 1").count())
      assert(
        read(path).where("label > 0.5 AND bucket <= 1").count() == indexed.where("label > 0.5 AND bucket <= 1").count()
      )
    }
  }

  test("class numbers are read beside arrays, in structs, with nulls and compressed") {
    val label = when(col("id") % 5 =!= 0, col("label")).as("label")
    val metadata = indexed.schema("label").metadata
    val rows = indexed
      .select(col("id"), label.as("label", metadata), array(col("x"), col("x")).as("a"), col("label").as("whole"))
      .withColumn("s", struct(col("label"), col("id").as("n"), col("label").cast("float").as("f", metadata)))
    Seq("uncompressed", "zstd").foreach { compression =>
      val path = write(rows)("compression" -> compression)
      assert(current(path).columns.filter(_.dtype.contains("int64")).map(_.name) ==
        Seq("id", "label", "whole", "s.label", "s.n", "s.f"))
      assert(Alignment.bare(read(path).schema) == Alignment.bare(rows.schema))
      Seq("id, label", "id, a, whole", "s", "s.f", "id, label, a, whole, s").foreach { columns =>
        val chosen = columns.split(", ").map(col).toSeq
        assert(read(path).select(chosen: _*).collect().toSeq == rows.select(chosen: _*).collect().toSeq)
      }
    }
  }

  test("a value that is no class number is an error that names it, and without the metadata it is a number") {
    Seq("0.5D", "double('NaN')", "double('Infinity')", "1e300D", "float(0.5)").foreach { value =>
      val data = nominal(spark.range(3).selectExpr("id", s"$value AS y"), "y", "a")
      val path = newPath()
      val e = cause(intercept[Exception](write(data, path)()))
      assert(e.getCondition == "DLCACHE_CLASS_NUMBER_INVALID" && e.getMessageParameters.get("column") == "y")
      assert(files(path).isEmpty)
      val plain = write(data.withMetadata("y", Metadata.empty))()
      assert(Set("float32", "float64")(dtypes(plain)("y")))
    }
  }

  test("a column that is packed stays floating point") {
    val path = write(indexed.select("id", "x", "bucket"))("pack" -> """{"f": ["x", "bucket"]}""")
    assert(dtypes(path) == Map("id" -> "int64", "f" -> "float64"))
    assert(read(path).select("bucket").collect().toSeq == indexed.select("bucket").collect().toSeq)
  }

  test("an append has the labels of the dataset, or none") {
    def rows(from: Int) = spark.range(from, from + 3).selectExpr("id", "double(id % 2) AS y")
    val path = write(nominal(rows(0), "y", "a", "b"))()
    write(nominal(rows(3), "y", "a", "b"), path, "append")()
    write(rows(6), path, "append")()
    assert(read(path).select("y").collect().map(_.getDouble(0)).toSeq == (0 until 9).map(id => (id % 2).toDouble))
    assert(read(path).schema("y").metadata.getMetadata("ml_attr").getStringArray("vals").toSeq == Seq("a", "b"))
    val other = refusal("DLCACHE_COLUMNS_MISMATCH")(write(nominal(rows(9), "y", "b", "a"), path, "append")(): Unit)
    assert(other.getMessage.contains("has the labels b, a, in the dataset a, b"))
    val integers = rows(9).selectExpr("id", "bigint(y) AS y")
    assert(refusal("DLCACHE_COLUMNS_MISMATCH")(write(integers, path, "append")(): Unit).getMessage.contains("`y`"))
    val fraction = rows(9).selectExpr("id", "y + 0.5D AS y")
    val e = cause(intercept[Exception](write(fraction, path, "append")()))
    assert(e.getCondition == "DLCACHE_CLASS_NUMBER_INVALID")

    val floating = write(rows(0))()
    write(nominal(rows(3), "y", "a", "b"), floating, "append")()
    assert(dtypes(floating)("y") == "float64" && read(floating).count() == 6)
  }
}
