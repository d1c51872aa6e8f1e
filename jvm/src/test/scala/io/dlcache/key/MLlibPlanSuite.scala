package io.dlcache.key

import org.apache.spark.ml.{Pipeline, Transformer}
import org.apache.spark.ml.feature._
import org.apache.spark.ml.linalg.Vectors
import org.apache.spark.ml.functions.vector_to_array
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.functions.{col, lit, udf}

/** Plans of MLlib's transformers: durable where their functions capture plain values only. */
class MLlibPlanSuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)
  private def assembled(): DataFrame =
    new VectorAssembler().setInputCols(Array("id", "k")).setOutputCol("v").transform(read())

  test("durable: MLlib's transformers whose functions capture values only") {
    val queries = MLlibQueries.of(spark, table)
    val again = MLlibQueries.of(spark, table)
    queries.zip(again).foreach { case ((name, data), (_, other)) =>
      withClue(name)(assert(durable(data) == durable(other)))
    }
    assert(queries.map { case (_, data) => durable(data) }.distinct.length == queries.length)
  }

  test("changes: a parameter or a fitted value of a transformer of MLlib") {
    def bucketized(split: Double) = new Bucketizer().setInputCol("x").setOutputCol("b")
      .setSplits(Array(Double.NegativeInfinity, split, Double.PositiveInfinity))
      .transform(read().select(col("id").cast("double").as("x")))
    assert(durable(bucketized(1)) == durable(bucketized(1)))
    assert(durable(bucketized(1)) != durable(bucketized(2)))

    def indexed(order: String) = {
      val indexer = new StringIndexer().setInputCol("s").setOutputCol("i").setStringOrderType(order)
      indexer.fit(read()).transform(read()).select("i")
    }
    assert(durable(indexed("alphabetAsc")) == durable(indexed("alphabetAsc")))
    assert(durable(indexed("alphabetAsc")) != durable(indexed("alphabetDesc")))

    def assembledBy(handling: String) = new VectorAssembler().setInputCols(Array("id", "k")).setOutputCol("v")
      .setHandleInvalid(handling).transform(read()).select(vector_to_array(col("v")).as("v"))
    assert(durable(assembledBy("error")) != durable(assembledBy("keep")))
  }

  test("session: a transformer of MLlib whose function holds the transformer itself") {
    val expanded = new PolynomialExpansion().setDegree(2).setInputCol("v").setOutputCol("p").transform(assembled())
    assert(sessionBecause(expanded) == Set("scala-udf"))
    assert(digest(expanded) == digest(expanded))
  }

  test("session: the functions of users beside MLlib's, also in a package of its name") {
    val mine = org.apache.spark.ml.keytest.Functions.plus(1)
    assert(sessionBecause(assembled().select(mine(col("id")))) == Set("scala-udf"))
    val own = udf((x: Long) => x + 1)
    assert(sessionBecause(assembled().select(col("v"), own(col("id")))) == Set("scala-udf"))
  }

  test("a function of MLlib counts by what it captures") {
    def slicer(indices: Int*): DataFrame =
      new VectorSlicer().setInputCol("v").setOutputCol("o").setIndices(indices.toArray).transform(assembled())
    assert(durable(slicer(0)) != durable(slicer(1)))
    assert(MLlibFunctions.digestOf(new Object).isEmpty)
    assert(MLlibFunctions.digestOf((x: Int) => x).isEmpty)
    assert(durable(assembled().where(lit(true))) == durable(assembled().where(lit(true))))
  }
}

/** Queries with transformers, the same in every JVM. */
object MLlibQueries {
  def of(session: SparkSession, path: String): Seq[(String, DataFrame)] = {
    val rows = session.read.parquet(path).selectExpr("cast(id as double) as x", "cast(k as double) as k", "s")
    val assembler = new VectorAssembler().setInputCols(Array("x", "k")).setOutputCol("v")
    val vectors = assembler.transform(rows)
    def fitted(transformer: Transformer): DataFrame = transformer.transform(vectors)
    val pipeline = new Pipeline().setStages(
      Array(
        new StringIndexer().setInputCol("s").setOutputCol("i"),
        new OneHotEncoder().setInputCol("i").setOutputCol("o"),
        new VectorAssembler().setInputCols(Array("x", "o")).setOutputCol("v")
      )
    )
    Seq(
      "VectorAssembler" -> vectors,
      "VectorAssembler, keeping" -> assembler.setHandleInvalid("keep").transform(rows),
      "vector_to_array" -> vectors.select(vector_to_array(col("v")).as("a")),
      "StandardScalerModel" -> fitted(
        new StandardScaler().setInputCol("v").setOutputCol("o").setWithMean(true).fit(vectors.coalesce(1))
      ),
      "MinMaxScalerModel" -> fitted(new MinMaxScaler().setInputCol("v").setOutputCol("o").fit(vectors)),
      "StringIndexerModel" -> fitted(new StringIndexer().setInputCol("s").setOutputCol("o").fit(vectors)),
      "OneHotEncoderModel" -> fitted(new OneHotEncoder().setInputCol("k").setOutputCol("o").fit(vectors)),
      "Bucketizer" -> fitted(new Bucketizer().setInputCol("x").setOutputCol("o").setSplits(Array(-1, 3, 1e9))),
      "VectorSlicer" -> fitted(new VectorSlicer().setInputCol("v").setOutputCol("o").setIndices(Array(1))),
      "a pipeline" -> pipeline.fit(rows).transform(rows),
      "local vectors" -> new VectorSlicer().setInputCol("v").setOutputCol("o").setIndices(Array(1)).transform(
        session.createDataFrame(Seq(Tuple1(Vectors.dense(1, 2)), Tuple1(Vectors.sparse(2, Seq(0 -> 1.0))))).toDF("v")
      )
    )
  }
}
