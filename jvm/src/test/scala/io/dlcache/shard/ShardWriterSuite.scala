package io.dlcache.shard

import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.UTF_8
import java.time.{Instant, LocalDate}

import scala.jdk.CollectionConverters._
import scala.language.existentials

import io.dlcache.shard.file.ShardFile
import org.apache.parquet.hadoop.ParquetFileReader
import org.apache.parquet.hadoop.util.HadoopInputFile
import org.apache.spark.ml.linalg.{Vector, Vectors}
import org.apache.spark.mllib.linalg.{Vectors => OldVectors}
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.catalyst.{CatalystTypeConverters, InternalRow}
import org.apache.spark.sql.types._
import org.scalacheck.Gen
import org.scalacheck.rng.Seed

class ShardWriterSuite extends ShardTest {
  private val tiny = ShardOptions(20000)

  private val values = "b boolean, i1 byte, i2 short, i4 int, i8 bigint, f4 float, f8 double, da date, ts timestamp, " +
    "tn timestamp_ntz, ym interval year to month, dt interval day to second, d4 decimal(5,2), d8 decimal(18,4)"
  private val everything: StructType = {
    val flat = StructType.fromDDL(s"$values, d16 decimal(38,10), s string, y binary")
    val lists = StructType.fromDDL(values).map(field => StructField(s"l_${field.name}", ArrayType(field.dataType)))
    val deep = StructType.fromDDL(
      "aa array<array<float>>, aaa array<array<array<int>>>, ab array<array<boolean>>, as array<string>, " +
        "az array<struct<x: int, y: array<string>>>, m map<string, array<int>>, ma array<map<int, decimal(20,1)>>, " +
        s"st struct<$values, s: string, y: binary, a: array<float>, in: struct<q: int, a: array<array<int>>, m: map<int, string>, d: decimal(30,3)>>"
    )
    val time = if (hasTime) Seq(
      StructField("ti", DataType.fromJson("\"time(6)\"")),
      StructField("l_ti", ArrayType(DataType.fromJson("\"time(6)\"")))
    )
    else Nil
    val untyped =
      if (spark.version >= "4.2") Seq(StructField("n", NullType), StructField("l_n", ArrayType(NullType))) else Nil
    StructType(flat.fields ++ lists ++ deep.fields ++ time ++ untyped)
  }

  private def hasTime: Boolean = spark.version >= "4.1"

  private def random(schema: StructType, rows: Int, nulls: Int, seed: Long): Seq[Row] =
    Gen.listOfN(rows, RandomRows.rows(schema, nulls)).pureApply(Gen.Parameters.default, Seed(seed))

  private def internal(schema: StructType, rows: Seq[Row]): Iterator[InternalRow] = {
    val convert = CatalystTypeConverters.createToCatalystConverter(schema)
    rows.iterator.map(convert(_).asInstanceOf[InternalRow])
  }

  private def assertReadBack(shard: Written, rows: Seq[Row]) = {
    val expected = rows.map(RandomRows.comparable)
    def read() = spark.read.parquet(shard.path.toString).collect().toSeq.map(RandomRows.comparable)
    assert(read() == expected)
    withConf("spark.sql.parquet.enableVectorizedReader", "false")(assert(read() == expected))
  }

  private def withConf(name: String, value: String)(body: => Unit): Unit = {
    spark.conf.set(name, value)
    try body
    finally spark.conf.unset(name)
  }

  for (nulls <- Seq(0, 15, 70); seed <- Seq(nulls + 1L))
    test(s"every type comes back as it was: $nulls % nulls, seed $seed") {
      withConf("spark.sql.datetime.java8API.enabled", "true") {
        val rows = random(everything, 150, nulls, seed)
        val unsafe = frame(everything, rows)
        Seq(write(unsafe, None, tiny), write(internal(everything, rows), everything, None, tiny)).foreach { shard =>
          assert(shard.summary.rows == 150)
          assert(shard.rowGroupSizes.size > 1)
          assertReadBack(shard, rows)
          assertLayout(shard, rows)
        }
      }
    }

  /** The bytes that the values of a chunk must be, made from the rows. */
  private def stored(value: Any, column: LeafColumn): Array[Byte] = {
    val bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN)
    value match {
      case x: Byte => bytes.putInt(x.toInt)
      case x: Short => bytes.putInt(x.toInt)
      case x: Int => bytes.putInt(x)
      case x: Long => bytes.putLong(x)
      case x: Float => bytes.putFloat(x)
      case x: Double => bytes.putDouble(x)
      case x: LocalDate => bytes.putInt(x.toEpochDay.toInt)
      case x: Instant => bytes.putLong(micros(x))
      case x: java.time.LocalDateTime =>
        bytes.putLong(micros(x.toInstant(java.time.ZoneOffset.UTC)))
      case x: java.time.Period => bytes.putInt(x.toTotalMonths.toInt)
      case x: java.time.Duration => bytes.putLong(x.toNanos / 1000)
      case x: java.time.LocalTime => bytes.putLong(x.toNanoOfDay / 1000)
      case x: java.math.BigDecimal =>
        if (x.precision <= 9 && element(column.dataType).asInstanceOf[DecimalType].precision <= 9)
          bytes.putInt(x.unscaledValue.intValueExact)
        else bytes.putLong(x.unscaledValue.longValueExact)
      case other => fail(s"no bytes for $other")
    }
    bytes.array.take(bytes.position())
  }

  private def micros(instant: Instant): Long = instant.getEpochSecond * 1000000 + instant.getNano / 1000

  private def element(dataType: DataType): DataType = dataType match {
    case ArrayType(inner, _) => element(inner)
    case other => other
  }

  private def flat(value: Any): Seq[Any] = value match {
    case elements: scala.collection.Seq[_] => elements.toSeq.flatMap(flat)
    case other => Seq(other)
  }

  private def at(row: Row, path: Seq[String]): Any =
    if (row == null) null
    else {
      val value = row.get(row.schema.fieldIndex(path.head))
      if (path.size == 1) value else at(value.asInstanceOf[Row], path.tail)
    }

  private def withSchema(row: Row, schema: StructType): Row = {
    val values = row.toSeq.zip(schema.map(_.dataType)).map {
      case (inner: Row, struct: StructType) => withSchema(inner, struct)
      case (other, _) => other
    }
    new org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema(values.toArray, schema)
  }

  private def packed(bits: Seq[Boolean]): Seq[Byte] =
    bits.grouped(8).map(_.zipWithIndex.map { case (bit, i) => if (bit) 1 << i else 0 }.sum.toByte).toSeq

  /** Looks at each raw chunk byte by byte, and at the summaries. */
  private def assertLayout(shard: Written, plain: Seq[Row]): Unit = {
    assert(shard.crc32 == shard.summary.crc32)
    assert(shard.bytes.length == shard.summary.bytes)
    val rows = plain.map(withSchema(_, shard.layout.schema))
    val starts = shard.rowGroupSizes.scanLeft(0)(_ + _)
    shard.layout.columns.zip(shard.summary.chunks).zip(shard.facts).foreach { case ((column, chunks), facts) =>
      val all = rows.map(at(_, column.path))
      assert(facts.nulls == all.count(_ == null), column.path)
      shard.rowGroupSizes.indices.foreach { group =>
        val values = all.slice(starts(group), starts(group + 1))
        val chunk = chunks.fold(ChunkSummary.NotRaw)(_(group))
        val mayBeRaw = column.strategy match {
          case ColumnStrategy.Text | ColumnStrategy.Binary => true
          case _: ColumnStrategy.Scalar | ColumnStrategy.Lists(_, 1) | _: ColumnStrategy.Vector =>
            !values.flatMap(flat).contains(null)
          case _: ColumnStrategy.Lists => chunk.isRaw
          case _ => false
        }
        assert(chunk.isRaw == mayBeRaw, s"${column.path} of $values")
        if (chunk.isRaw) assertChunk(shard, column, chunk, values)
      }
    }
  }

  private def assertChunk(shard: Written, column: LeafColumn, chunk: ChunkSummary, values: Seq[Any]): Unit = {
    assert(chunk.valuesOffset % 64 == 0)
    val bytes = new Array[Byte](chunk.valuesBytes.toInt)
    shard.values(chunk).get(bytes)
    val (expected, index) = column.strategy match {
      case ColumnStrategy.Text | ColumnStrategy.Binary =>
        val records = values.map {
          case null => Array.empty[Byte]
          case text: String => ByteBuffer.allocate(
              4
            ).order(ByteOrder.LITTLE_ENDIAN).putInt(text.getBytes(UTF_8).length).array ++ text.getBytes(UTF_8)
          case data: Array[Byte] =>
            ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(data.length).array ++ data
          case other => fail(s"$other is no string")
        }
        (records.flatten, Some(records.scanLeft(0)(_ + _.length)))
      case strategy =>
        val elements = values.flatMap(flat)
        val expected = if (element(column.dataType) == BooleanType) packed(elements.map(_.asInstanceOf[Boolean]))
        else elements.flatMap(stored(_, column))
        (
          expected,
          if (strategy.isInstanceOf[ColumnStrategy.Scalar]) None else Some(values.map(flat(_).size).scanLeft(0)(_ + _))
        )
    }
    assert(bytes.toSeq == expected, column.path)
    column.strategy match {
      case ColumnStrategy.Lists(_, depth) if depth > 1 => assert(chunk.indexOffset == -1)
      case _ =>
        assert((chunk.indexOffset >= 0) == index.isDefined)
        index.foreach { expected =>
          assert(chunk.indexOffset % 64 == 0)
          assert(shard.index(chunk, values.size) == expected)
        }
    }
  }

  test("tensors of any depth are raw") {
    val data = spark
      .range(0, 300, 1, 1)
      .selectExpr(
        "array(float(id), float(id + 1), float(id + 2)) as v",
        "array(array(id, id + 1), array(id + 2, id + 3), array(id, id)) as m",
        "array(array(array(id % 2 = 0), array(id % 3 = 0)), array(array(true), array(false))) as t"
      )
    val shard = write(data, None, ShardOptions(5000))
    val rows = data.collect().toSeq
    assertReadBack(shard, rows)
    assertLayout(shard, rows)
    assert(shard.facts.map(f => (f.storage, f.shape.get)) == Seq(
      ("tensor", Seq(3)),
      ("tensor", Seq(3, 2)),
      ("tensor", Seq(2, 2, 1))
    ))
    assert(shard.summary.chunks.forall(_.get.forall(_.isRaw)))
  }

  test("a column that changes its shape is no tensor, and loses no row") {
    val data = spark
      .range(0, 300, 1, 1)
      .selectExpr(
        "transform(sequence(1, if(id < 200, 3, 4)), x -> float(x + id)) as v",
        "transform(sequence(1, if(id < 200, 3, 4)), x -> array(id, x)) as m"
      )
    val shard = write(data, None, ShardOptions(3000))
    val rows = data.collect().toSeq
    assertReadBack(shard, rows)
    assertLayout(shard, rows)
    assert(shard.facts.map(_.storage) == Seq("ragged", "nested"))
    assert(shard.facts.head.lengths.contains((3, 4)))
    assert(shard.facts.map(_.hasRawChunks) == Seq(true, false))
    assert(shard.facts.head.statistics.get.get("count").asLong == 200 * 3 + 100 * 4)
  }

  test("vectors of both libraries, dense and sparse, are arrays") {
    val session = spark
    import session.implicits._
    val dense = Seq.tabulate(50)(i => Vectors.dense(i, 0.1, -i))
    val sparse = Seq.tabulate(50)(i => Vectors.sparse(3, Array(i % 3), Array(i + 0.1)))
    val vectors: Seq[Vector] = dense.zip(sparse).flatMap { case (a, b) => Seq(a, b) }
    val data = vectors.map(v => (v, OldVectors.fromML(v))).toDF("ml", "mllib").repartition(1)
    val expected = data.as[(Vector, org.apache.spark.mllib.linalg.Vector)].collect().map(_._1.toArray.toSeq).toSeq
    val shard = write(data, None, ShardOptions(1000))
    assert(shard.read.as[(Seq[Double], Seq[Double])].collect().toSeq == expected.map(v => (v, v)))
    assert(shard.facts.map(f => (f.udt.get, f.storage, f.dtype.get)) == Seq(
      ("ml", "tensor", "float64"),
      ("mllib", "tensor", "float64")
    ))
    assertLayout(shard, expected.map(v => Row(v, v)))
    val floats = write(data, Some(FloatDtype.Float32), ShardOptions(1000))
    assert(floats.read.select("ml").as[Seq[Float]].collect().toSeq == expected.map(_.map(_.toFloat)))
    assert(floats.facts.head.dtype.contains("float32"))
  }

  test("null vectors and vectors of several sizes are ragged") {
    val session = spark
    import session.implicits._
    val data = Seq(Vectors.dense(1, 2), null, Vectors.sparse(4, Array(3), Array(9)), Vectors.dense(Array.empty[Double]))
      .map(Tuple1(_))
      .toDF("v")
    val shard = write(data)
    assert(shard.read.collect().map(_.getSeq[Double](0)).toSeq == Seq(
      Seq(1.0, 2.0),
      null,
      Seq(0.0, 0.0, 0.0, 9.0),
      Seq()
    ))
    val facts = shard.facts.head
    assert(facts.storage == "ragged" && facts.nulls == 1 && facts.lengths.contains((0, 4)))
  }

  test("casts") {
    val data = spark.range(
      0,
      100,
      1,
      1
    ).selectExpr("id / 3 as d", "float(id / 3) as f", "array(id / 7) as a", "struct(id / 9 as x) as s")
    val narrow = write(data, Some(FloatDtype.Float32), tiny)
    assert(narrow.read.collect().toSeq == data.selectExpr(
      "float(d)",
      "f",
      "cast(a as array<float>)",
      "struct(float(s.x) as x)"
    ).collect().toSeq)
    val wide = write(data, Some(FloatDtype.Float64), tiny)
    assert(wide.read.collect().toSeq == data.selectExpr("d", "double(f)", "a", "s").collect().toSeq)
    assertLayout(wide, data.selectExpr("d", "double(f)", "a", "s").collect().toSeq)
  }

  test("row groups have one number of rows, and the last has the rest") {
    val data = spark.range(0, 1003, 1, 1)
    val shard = write(data.toDF(), None, ShardOptions(800))
    assert(shard.summary.rowGroupRows == 100)
    assert(footer(shard).getBlocks.asScala.map(_.getRowCount).toSeq == Seq.fill(10)(100L) :+ 3L)
    val one = write(data.toDF(), None, ShardOptions(1 << 20))
    assert(one.summary.rowGroupRows == 1003 && footer(one).getBlocks.size == 1)
  }

  test("many rows make row groups of a round number of them, unless rows grow meanwhile") {
    val data = spark.range(0, 40000, 1, 1).toDF()
    assert(write(data, None, ShardOptions(8 * 4097)).summary.rowGroupRows == 4096 + 256)
    assert(write(data, None, ShardOptions(8 * 4096)).summary.rowGroupRows == 4096)
    assert(write(data, None, ShardOptions(8 * 20000)).summary.rowGroupRows == 40 * 512)
    val growing = write(blobs(Seq.fill(4100)(6) ++ Seq.fill(100)(996): _*), blob, None, ShardOptions(41000))
    assert(growing.summary.rowGroupRows < 4120)
  }

  test("values start at multiples of 64 and of their rows' width") {
    val data = spark.range(0, 30000, 1, 1).selectExpr(
      "id l",
      "array(id, id, -id) three",
      "array_repeat(cast(id as float), 192) wide",
      "cast(id as string) s",
      "id = 1 b"
    )
    val shard = write(data, None, ShardOptions(4 << 20))
    val widths = Seq(8, 24, 768)
    val chunks = shard.summary.chunks.map(_.toSeq.flatten)
    chunks.zip(widths).foreach { case (ofColumn, width) =>
      assert(ofColumn.size > 5 && ofColumn.forall(_.valuesOffset % width == 0))
    }
    assert(chunks.flatten.forall(_.valuesOffset % 64 == 0))
    assert(shard.read.collect().toSet == data.collect().toSet)
  }

  test("a width that has a large common multiple with 64 counts for nothing") {
    assert(ShardFile.alignment(400 * 7, 7) == 1600)
    assert(ShardFile.alignment(3072 * 7, 7) == 3072)
    assert(ShardFile.alignment(4004, 1) == 64064)
    assert(ShardFile.alignment(150528 * 7, 7) == 512)
    assert(ShardFile.alignment(65540, 1) == 512)
    assert(ShardFile.alignment(5000, 3) == 64)
    assert(ShardFile.alignment(0, 3) == 64 && ShardFile.alignment(0, 0) == 64)
  }

  private def footer(shard: Written) = {
    val file = HadoopInputFile.fromPath(shard.path, spark.sessionState.newHadoopConf())
    val reader = ParquetFileReader.open(file)
    try reader.getFooter
    finally reader.close()
  }

  test("a chunk is one page, without dictionary, with a null count and a range; the footer names the schema") {
    val rows = random(everything, 100, 15, 7)
    val shard = write(internal(everything, rows), everything, None, tiny)
    val metadata = footer(shard)
    val kept = metadata.getFileMetaData.getKeyValueMetaData.asScala
    assert(DataType.fromJson(kept("org.apache.spark.sql.parquet.row.metadata")) == shard.layout.schema)
    assert(kept("dlcache.format-version") == "1" && kept("org.apache.spark.version") == spark.version)
    val columns = metadata.getBlocks.asScala.flatMap(_.getColumns.asScala)
    columns.foreach { chunk =>
      assert(!chunk.hasDictionaryPage)
      assert(chunk.getEncodings.asScala.forall(encoding => Set("PLAIN", "RLE", "BIT_PACKED")(encoding.name)))
      val statistics = chunk.getStatistics
      if (!statistics.hasNonNullValue && !statistics.isEmpty)
        assert(statistics.getNumNulls == chunk.getValueCount, chunk)
    }
    val file = HadoopInputFile.fromPath(shard.path, spark.sessionState.newHadoopConf())
    val reader = ParquetFileReader.open(file)
    try columns.foreach(chunk => assert(reader.readOffsetIndex(chunk).getPageCount == 1))
    finally reader.close()
  }

  test("page checksums are there and right") {
    val data = spark.range(0, 100, 1, 1).selectExpr("id", "string(id) as s", "array(id) as a", "map(id, id) as m")
    val shard = write(data)
    withConf("parquet.page.verify-checksum.enabled", "true")(assert(shard.read.count() == 100))
    val column = shard.summary.chunks.head.get.head
    shard.bytes(column.valuesOffset.toInt) = 99
    java.nio.file.Files.write(java.nio.file.Paths.get(shard.path.toUri), shard.bytes)
    spark.sparkContext.hadoopConfiguration.set("parquet.page.verify-checksum.enabled", "true")
    try {
      val error = intercept[Exception](shard.read.select("id").collect())
      assert(Iterator.iterate[Throwable](error)(_.getCause).takeWhile(_ != null).exists(_.getMessage.contains("CRC")))
    } finally spark.sparkContext.hadoopConfiguration.unset("parquet.page.verify-checksum.enabled")
  }

  test("filters that Spark pushes find the rows, also next to NaN, nulls and gaps") {
    val data = spark
      .range(0, 1000, 1, 1)
      .selectExpr(
        "id",
        "if(id % 10 = 3, double('NaN'), double(id)) as f",
        "if(id % 2 = 0, null, id) as n",
        "if(id < 500, null, string(id)) as s",
        "struct(float(id) as x, if(id = 7, float('NaN'), 1f) as y) as t"
      )
    val shard = write(data, None, ShardOptions(4000))
    val filters = Seq(
      "f > 5000",
      "f = double('NaN')",
      "f > 990",
      "f < 3",
      "n = 501",
      "n is null and id > 990",
      "s = '777'",
      "s is null and id = 499",
      "s > '99'",
      "id between 300 and 310",
      "t.x = 17",
      "t.y > 5",
      "t.y is not null and id = 3"
    )
    filters.foreach { filter =>
      assert(
        shard.read.where(filter).collect().map(_.getLong(0)).toSeq == data.where(
          filter
        ).collect().map(_.getLong(0)).toSeq,
        filter
      )
    }
    assert(footer(shard).getBlocks.size > 3)
  }

  Seq("snappy", "zstd", "gzip", "lz4_raw").foreach { compression =>
    test(s"compression $compression") {
      val rows = random(everything, 60, 15, 11)
      val shard = withJava8(write(internal(everything, rows), everything, None, ShardOptions(20000, compression)))
      withJava8(assertReadBack(shard, rows))
      assert(shard.summary.chunks.forall(_.isEmpty))
      assert(shard.summary.crc32 == shard.crc32)
      assert(footer(
        shard
      ).getBlocks.asScala.flatMap(_.getColumns.asScala).forall(_.getCodec.name.equalsIgnoreCase(compression)))
    }
  }

  private def withJava8[A](body: => A): A = {
    spark.conf.set("spark.sql.datetime.java8API.enabled", "true")
    try body
    finally spark.conf.unset("spark.sql.datetime.java8API.enabled")
  }

  test("options are checked") {
    intercept[IllegalArgumentException](ShardOptions(0))
    intercept[IllegalArgumentException](ShardOptions(ShardOptions.MaxRowGroupBytes + 1))
    assert(intercept[IllegalArgumentException](ShardOptions(1, "brotli")).getMessage.contains("zstd"))
  }

  private val blob = new StructType().add("b", BinaryType)
  private def blobs(sizes: Int*): Iterator[InternalRow] =
    sizes.iterator.map(n => InternalRow(Array.fill[Byte](n)(n.toByte)))

  test("the writer wants to be rolled when rows grow or shrink") {
    val small = write(blobs(Seq.fill(1000)(96): _*), blob, None, ShardOptions(1000))
    assert(small.summary.rows == 1000 && small.summary.rowGroupRows == 10)
    val growing = write(blobs(Seq.fill(10)(96) ++ Seq.fill(100)(996): _*), blob, None, ShardOptions(1000))
    assert(growing.summary.rows == 13 && growing.summary.rowGroupRows == 10)
    assert(growing.read.collect().map(_.getAs[Array[Byte]](0).length).toSeq == Seq.fill(10)(96) ++ Seq.fill(3)(996))
    val shrinking = write(blobs(5000 +: Seq.fill(100)(10): _*), blob, None, ShardOptions(1000))
    assert(shrinking.summary.rows == 2 && shrinking.summary.rowGroupRows == 1)
  }

  test("a row larger than a row group") {
    val shard = write(blobs(200 << 20), blob, None, ShardOptions(1 << 20))
    assert(shard.summary.rows == 1)
    assert(shard.summary.columns.head.lengths.contains((200 << 20, 200 << 20)))
    assert(shard.read.selectExpr("length(b)").head().getInt(0) == 200 << 20)
  }

  private def writer(path: org.apache.hadoop.fs.Path) =
    new ShardWriter(path, spark.sessionState.newHadoopConf(), ShardLayout.of(blob, None), ShardOptions(1000))

  private def exists(path: org.apache.hadoop.fs.Path) = java.nio.file.Files.exists(java.nio.file.Paths.get(path.toUri))

  test("a writer without rows leaves nothing") {
    val path = newPath()
    val summary = writer(path).close()
    assert(summary.rows == 0 && summary.bytes == 0 && !exists(path))
    writer(path).abort()
  }

  test("abort deletes the file, and only that") {
    val (path, other) = (newPath(), newPath())
    java.nio.file.Files.write(java.nio.file.Paths.get(other.toUri), Array[Byte](1))
    val aborted = writer(path)
    blobs(600, 600, 600).foreach(aborted.write)
    assert(exists(path) && aborted.rows == 3 && aborted.bytes > 1800)
    aborted.abort()
    assert(!exists(path) && exists(other))
  }

  test("a file that exists is not replaced, and abort leaves it") {
    val path = newPath()
    java.nio.file.Files.write(java.nio.file.Paths.get(path.toUri), Array[Byte](1))
    val late = writer(path)
    intercept[java.io.IOException](blobs(2000).foreach(late.write))
    late.abort()
    assert(exists(path))
  }

  test("statistics of scalars") {
    val data: DataFrame = spark
      .range(0, 1000, 1, 1)
      .selectExpr(
        "int(id % 3) as c",
        "if(id % 4 = 0, null, id) as l",
        "id % 2 = 0 as b",
        "concat('k', id % 2) as s",
        "id * 4611686018427388 + 1 as big",
        "date_from_unix_date(int(id)) as d"
      )
    val statistics = write(data, None, ShardOptions(3000)).facts.map(f => f.path.head -> f.statistics.get).toMap
    assert(statistics("c").get("classes").toString == "[[0,334],[1,333],[2,333]]")
    assert(math.abs(statistics("c").get("variance").asDouble - 0.666999) < 1e-9)
    assert(statistics("l").get("count").asLong == 750)
    assert(statistics("b").get("classes").toString == "[[false,500],[true,500]]")
    assert(statistics("s").toString == """{"classes":[["k0",500],["k1",500]]}""")
    assert(statistics("big").get("max").asLong == 999L * 4611686018427388L + 1)
    assert(statistics("d").get("max").asLong == 999 && !statistics("d").has("classes"))
  }
}
