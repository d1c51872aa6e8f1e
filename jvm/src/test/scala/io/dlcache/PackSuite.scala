package io.dlcache

import scala.jdk.CollectionConverters._
import scala.util.Random

import io.dlcache.read.ReadSchema
import org.apache.spark.ml.linalg.{SQLDataTypes, Vectors}
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.catalyst.expressions.UnsafeRow
import org.apache.spark.sql.functions.{col, expr, lit}
import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalatest.funsuite.AnyFunSuite
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** The option `pack`: columns that are stored as one, and read as they were. */
class PackSuite extends AnyFunSuite with WriteTest with ScalaCheckPropertyChecks {

  import PackSuite.Case

  private def write(data: DataFrame, pack: String, options: (String, String)*): String = {
    val path = newPath()
    data.write.format("dlcache").option("pack", pack).options(options.toMap).save(path)
    path
  }

  private def bytes(data: DataFrame): Seq[Seq[Byte]] =
    data.queryExecution.toRdd.map(_.asInstanceOf[UnsafeRow].getBytes.toSeq).collect().toSeq

  private def assertSame(actual: DataFrame, expected: DataFrame): Unit = {
    assert(actual.schema == expected.schema)
    if (bytes(actual) != bytes(expected)) assert(actual.collect().toSeq == expected.collect().toSeq)
    assert(bytes(actual) == bytes(expected))
  }

  private val cases: Gen[Case] = for {
    types <- Gen.nonEmptyListOf(
      Gen.oneOf(ByteType, ShortType, IntegerType, LongType, FloatType, DoubleType, StringType, SQLDataTypes.VectorType)
    )
    nullable <- Gen.listOfN(types.size, Gen.oneOf(true, false))
    rows <- Gen.choose(1, 60)
    seed <- Gen.long
    numbers = types.zipWithIndex.filter { case (t, _) => t.isInstanceOf[NumericType] }.groupMap(_._1)(_._2)
    some <- Gen.someOf(numbers.toSeq)
    chosen <- Gen.sequence[Seq[Seq[Int]], Seq[Int]](some.map { case (_, all) => Gen.atLeastOne(all).map(_.toSeq) })
    shuffled = new Random(seed).shuffle(chosen.map(new Random(seed).shuffle(_)))
  } yield {
    val fields = types.zip(nullable).zipWithIndex.map { case ((t, mayBeNull), i) => StructField(s"c$i", t, mayBeNull) }
    Case(StructType(fields), rows, seed, shuffled.zipWithIndex.map { case (is, n) => s"p$n" -> is.map(i => s"c$i") })
  }

  test("any columns in any packs come back as they were, by batch, by row, one by one and filtered") {
    forAll(cases.suchThat(_.packs.nonEmpty), minSuccessful(8)) { each =>
      val frame = each.frame(spark).coalesce(2)
      val path = write(frame, each.pack, "rowGroupBytes" -> "512")
      assertSame(read(path), frame)
      spark.conf.set("spark.sql.parquet.enableVectorizedReader", "false")
      try assertSame(read(path), frame)
      finally spark.conf.unset("spark.sql.parquet.enableVectorizedReader")
      val name = each.packs.head._2.last
      assertSame(read(path).select(name), frame.select(name))
      val names = each.schema.fieldNames.reverse.map(col).toSeq
      assertSame(read(path).select(names: _*), frame.select(names: _*))
      val bound = lit(frame.first().getAs[Any](name))
      Seq(col(name) === bound, col(name) > bound, col(name) <= bound, col(name).isNull).foreach { filter =>
        assert(bytes(read(path).where(filter)) == bytes(frame.where(filter)), filter)
      }
      assert(read(path).agg(expr(s"count($name)"), expr("count(*)")).first() == Row(each.rows.toLong, each.rows.toLong))
    }
  }

  private def table: DataFrame = spark
    .range(0, 100, 1, 2)
    .select(
      col("id"),
      expr("id * 0.5").cast("double").as("half"),
      expr("cast(id % 7 as float)").as("rest"),
      expr("concat('n', id)").as("name"),
      expr("cast(id as int)").as("number"),
      expr("if(id < 50, id * 2.0D, null)").as("some")
    )

  test("a pack is one tensor column, whose elements have names and statistics") {
    val path = write(table, """{"x":["rest","half"]}""", "dtype" -> "float32")
    val manifest = current(path)
    assert(manifest.schema.fieldNames.toSeq == Seq("id", "x", "name", "number", "some"))
    assert(manifest.unpacked.get.fieldNames.toSeq == table.columns.toSeq)
    val x = manifest.columns(1)
    assert((x.storage, x.dtype, x.shape) == (("tensor", Some("float32"), Some(Seq(2)))))
    assert(x.elements.contains(Seq("rest", "half")))
    assert(x.statistics.get.get("max").toString == "[6.0,49.5]")
    assert(manifest.options("pack") == """{"x":["rest","half"]}""")
    assert(manifest.shards.forall(_.chunks(1).get.forall(chunk => chunk.isRaw && chunk.indexOffset == -1)))
    assert(read(path).schema("half") == StructField("half", FloatType, nullable = table.schema("half").nullable))
    val plain = spark.read.parquet(s"$path/data").select(expr("x[0] as rest"), expr("x[1] as half"))
    assert(plain.collect().toSet == read(path).select("rest", "half").collect().toSet)
  }

  test("of the shards only what is needed is read, and a pack once") {
    val manifest = current(write(table, """{"x":["rest","half"]}""", "dtype" -> "float32"))
    def stored(names: String*) = {
      val all = ReadSchema.of(manifest)
      ReadSchema.stored(StructType(names.map(all(_))), manifest).fieldNames.toSeq
    }
    assert(stored("half") == Seq("x"))
    assert(stored("half", "id", "rest") == Seq("x", "id"))
    assert(stored("name") == Seq("name"))
    assert(stored() == Nil)
  }

  test("without rows a pack is a tensor column all the same") {
    val path = write(table.where("id < 0"), """{"x":["rest"]}""")
    assert(current(path).columns(2).shape.contains(Seq(1)))
    assertSame(read(path), table.where("id < 0"))
  }

  test("the same packs are a hit, others are another dataset") {
    val path = write(table, """{"x":["rest"], "y":["id"]}""")
    assert(stages {
      table.write.format("dlcache").option("pack", """{"y":["id"],"x":["rest"]}""").save(path)
    } == 0)
    refusal("DLCACHE_KEY_MISMATCH")(table.write.format("dlcache").option("pack", """{"x":["rest"]}""").save(path))
    refusal("DLCACHE_KEY_MISMATCH")(table.write.format("dlcache").save(path))
  }

  test("rows are appended with the packs that are there, in any order of columns") {
    val path = write(table, """{"x":["rest","half"]}""", "dtype" -> "float32")
    def append(data: DataFrame, options: (String, String)*): Unit =
      data.write.format("dlcache").options(options.toMap).mode("append").save(path)
    val more = table.withColumn("id", expr("id + 100")).select(table.columns.reverse.map(col).toSeq: _*)
    append(more, "dtype" -> "float32", "pack" -> """{"x":["rest","half"]}""")
    assert(current(path).rows == 200)
    val expected =
      table.union(more.select(table.columns.map(col).toSeq: _*)).withColumn("half", expr("cast(half as float)"))
    assert(read(path).collect().toSeq == expected.collect().toSeq)
    val none = refusal("DLCACHE_COLUMNS_MISMATCH")(append(more, "dtype" -> "float32"))
    assert(none.getMessage.contains("`x`") && none.getMessage.contains("[rest, half]"))
    val other = """{"x":["half","rest"]}"""
    refusal("DLCACHE_COLUMNS_MISMATCH")(append(more, "dtype" -> "float32", "pack" -> other)): Unit
  }

  test("what cannot be packed is refused by its name before a job runs") {
    val cases = Seq(
      """{"x":["rest","wrong"]}""" -> "`wrong`",
      """{"x":["rest","half"]}""" -> "float64, and `half`|float64, and `rest`",
      """{"x":["rest","name"]}""" -> "`name`",
      """{"x":["rest","rest"]}""" -> "packed twice",
      """{"x":["rest"],"y":["rest"]}""" -> "packed twice",
      """{"x":["rest"],"X":["half"]}""" -> "by case only",
      """{"name":["rest"]}""" -> "another name",
      """{"half":["half"]}""" -> "another name"
    )
    cases.foreach { case (pack, words) =>
      var message = ""
      assert(stages {
        message = refusal("DLCACHE_INVALID_PACK")(write(table, pack): Unit).getMessage
      } == 0)
      assert(words.split('|').exists(message.contains), message)
    }
    val odd = table.select(col("id"), expr("id > 1").as("flag"), expr("date_from_unix_date(number)").as("day"))
    Seq("flag", "day").foreach { name =>
      assert(refusal("DLCACHE_INVALID_PACK")(write(odd, s"""{"x":["$name"]}"""): Unit).getMessage.contains(s"`$name`"))
    }
  }

  test("a null in a packed column ends the write, by its name, and leaves nothing") {
    val path = newPath()
    val e = intercept[Exception] {
      table.write.format("dlcache").option("pack", """{"x":["half","some"]}""").save(path)
    }
    val messages = Iterator.iterate[Throwable](e)(_.getCause).takeWhile(_ != null).map(_.getMessage).toSeq
    assert(messages.exists(m => m != null && m.contains("DLCACHE_NULL_IN_PACK") && m.contains("`some`")), messages)
    assert(store(path).current().isEmpty && files(path).isEmpty)
  }
}

private object PackSuite {

  final private case class Case(schema: StructType, rows: Int, seed: Long, packs: Seq[(String, Seq[String])]) {
    def pack: String = packs.map { case (name, columns) => s""""$name":${columns.mkString("[\"", "\",\"", "\"]")}""" }
      .mkString("{", ",", "}")

    def frame(spark: SparkSession): DataFrame = {
      val random = new Random(seed)
      val values = Seq.fill(rows)(Row.fromSeq(schema.map(field => value(field, random))))
      spark.createDataFrame(values.asJava, schema)
    }

    private def value(field: StructField, random: Random): Any =
      if (field.nullable && !packs.exists(_._2.contains(field.name)) && random.nextInt(4) == 0) null
      else
        field.dataType match {
          case ByteType => random.nextInt().toByte
          case ShortType => random.nextInt().toShort
          case IntegerType => random.nextInt()
          case LongType => random.nextLong()
          case FloatType => if (random.nextInt(9) == 0) Float.NaN else random.nextGaussian().toFloat
          case DoubleType => if (random.nextInt(9) == 0) Double.NegativeInfinity else random.nextGaussian()
          case StringType => random.nextString(random.nextInt(5))
          case _ => Vectors.dense(random.nextGaussian(), random.nextGaussian())
        }
  }
}
