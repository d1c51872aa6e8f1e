package io.dlcache.key

import java.nio.file.{Files, Path, StandardCopyOption}
import java.nio.file.attribute.FileTime

import scala.jdk.CollectionConverters._

import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._

/** What changes a key and what must not: the rows of docs/plan-key.md. */
class PlanKeySuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  private def assertSame(first: DataFrame, second: DataFrame): Unit =
    assert(durable(first) == durable(second), s"\n${first.queryExecution.analyzed}\n${second.queryExecution.analyzed}")
  private def assertDiffers(first: DataFrame, second: DataFrame): Unit = assert(durable(first) != durable(second))

  // What changes the key.

  test("changes: the name of an output column") {
    assertDiffers(read().select(col("id").as("a")), read().select(col("id").as("b")))
    assertDiffers(read(), read().withColumnRenamed("k", "c"))
    assertDiffers(read().groupBy("k").agg(sum("id").as("a")), read().groupBy("k").agg(sum("id").as("b")))
  }

  test("changes: the order of the output columns") {
    assertDiffers(read().select("id", "k"), read().select("k", "id"))
    // The same names and types again, from other columns.
    assertDiffers(
      read().select(col("id").as("a"), col("k").as("b")),
      read().select(col("k").as("a"), col("id").as("b"))
    )
  }

  test("changes: the type of an output column") {
    assertDiffers(read().select(col("id")), read().select(col("id").cast("int").as("id")))
  }

  test("changes: the nullability of an output column") {
    def rows(nullable: Boolean) =
      spark.createDataFrame(Seq(Row(1L)).asJava, StructType(Seq(StructField("a", LongType, nullable))))
    assertDiffers(rows(nullable = true), rows(nullable = false))
  }

  test("changes: the metadata of an output column") {
    val metadata = new MetadataBuilder().putString("unit", "metre").build()
    assertDiffers(read().select(col("id")), read().select(col("id").as("id", metadata)))
  }

  test("changes: an input file is added, removed, or replaced by one of the same length") {
    val path = parquet("states")
    def key() = durable(spark.read.parquet(path))
    val first = key()
    val file = dataFiles(path).head
    val time = Files.getLastModifiedTime(file)

    val added = file.resolveSibling("part-added.parquet")
    Files.copy(file, added)
    val second = key()
    Files.delete(added)
    assert(second != first)
    assert(key() == first)

    Files.setLastModifiedTime(file, FileTime.fromMillis(time.toMillis + 1000))
    assert(key() != first)
    Files.setLastModifiedTime(file, time)
    assert(key() == first)

    Files.move(file, file.resolveSibling("part-moved.parquet"), StandardCopyOption.ATOMIC_MOVE)
    assert(key() != first)
  }

  test("changes: what the DataFrame has listed counts, not what lies there now") {
    val path = parquet("listed")
    val before = spark.read.parquet(path)
    val key = durable(before)
    Files.copy(dataFiles(path).head, Path.of(path, "part-later.parquet"))
    assert(durable(before) == key)
    assert(durable(spark.read.parquet(path)) != key)
  }

  test("changes: a literal of a filter") {
    assertDiffers(read().filter("id > 3"), read().filter("id > 4"))
    assertDiffers(read().filter("s = '3'"), read().filter("s = '4'"))
    assertDiffers(read().filter("id in (1, 2)"), read().filter("id in (1, 3)"))
  }

  test("changes: which column an expression reads") {
    assertDiffers(read().select((col("id") + 1).as("a")), read().select((col("k") + 1).as("a")))
  }

  test("changes: the operator") {
    assertDiffers(read().filter("id > 3"), read().filter("id >= 3"))
    assertDiffers(read().agg(max("id").as("a")), read().agg(min("id").as("a")))
    assertDiffers(read().join(read(), Seq("id")), read().join(read(), Seq("id"), "left_semi").join(read(), Seq("id")))
    assertDiffers(read().orderBy("id"), read().orderBy(desc("id")))
    assertDiffers(read().limit(3), read().limit(4))
    assertDiffers(read().union(read()), read().unionAll(read()).distinct())
  }

  test("changes: sums of three in another order, since floats do not add up the same") {
    val a = read().select(col("id").cast("double").as("a"), col("k").cast("double").as("b"), lit(0.1).as("c"))
    assertDiffers(a.selectExpr("(a + b) + c as s"), a.selectExpr("a + (b + c) as s"))
  }

  test("changes: configurations that change results") {
    Seq(
      "spark.sql.session.timeZone" -> "Asia/Tokyo",
      "spark.sql.ansi.enabled" -> "false",
      "spark.sql.caseSensitive" -> "true",
      "spark.sql.parquet.binaryAsString" -> "true",
      "spark.sql.legacy.timeParserPolicy" -> "LEGACY"
    ).foreach { conf =>
      val before = durable(read())
      assert(withConf(conf)(durable(read())) != before, conf)
      assert(durable(read()) == before)
    }
  }

  test("changes: write options") {
    val plain = keyOf(read()).digest
    assert(keyOf(read(), Map("dtype" -> "float32")).digest != plain)
    assert(keyOf(read(), Map("dtype" -> "float32")).digest != keyOf(read(), Map("dtype" -> "float64")).digest)
  }

  test("changes: options and schema of a file source") {
    val path = scratch.resolve("csv").toString
    spark.range(3).selectExpr("id", "id as b").write.csv(path)
    val plain = spark.read.schema("id long, b long").csv(path)
    assertDiffers(plain, spark.read.schema("id long, b long").option("nullValue", "1").csv(path))
    assertDiffers(plain, spark.read.schema("id string, b long").csv(path))
  }

  test("changes: the rows of local data") {
    val session = spark
    import session.implicits._
    assertSame(Seq(1 -> "a", 2 -> "b").toDF("i", "s"), Seq(1 -> "a", 2 -> "b").toDF("i", "s"))
    assertDiffers(Seq(1 -> "a", 2 -> "b").toDF("i", "s"), Seq(1 -> "a", 2 -> "c").toDF("i", "s"))
    assertDiffers(Seq(1 -> "a", 2 -> "b").toDF("i", "s"), Seq(2 -> "b", 1 -> "a").toDF("i", "s"))
    assertDiffers(Seq(Seq(1f, 2f)).toDF("v"), Seq(Seq(1f, 3f)).toDF("v"))
  }

  test("changes: the range") {
    assertSame(spark.range(10).toDF(), spark.range(10).toDF())
    assertDiffers(spark.range(10).toDF(), spark.range(20).toDF())
    assertDiffers(spark.range(0, 10, 1).toDF(), spark.range(0, 10, 2).toDF())
  }

  // What must not change the key.

  test("keeps: another DataFrame of the same query") {
    assertSame(read(), read())
    assertSame(read().filter("id > 3").select(col("k") + 1), read().filter("id > 3").select(col("k") + 1))
  }

  test("keeps: the alias of a subquery") {
    assertSame(read().alias("a").select("a.id"), read().alias("b").select("b.id"))
    assertSame(
      spark.sql(s"select x.id from (select * from parquet.`$table`) x"),
      spark.sql(s"select y.id from (select * from parquet.`$table`) y")
    )
  }

  test("keeps: names of columns inside the plan") {
    assertSame(
      read().select(col("id").as("a")).filter("a > 3").select(col("a").as("x")),
      read().select(col("id").as("b")).filter("b > 3").select(col("b").as("x"))
    )
  }

  test("keeps: a temporary view instead of its text") {
    read().filter("id > 3").createOrReplaceTempView("filtered")
    assertSame(spark.table("filtered"), read().filter("id > 3"))
    assertSame(spark.sql("select k, id from filtered"), read().filter("id > 3").select("k", "id"))
    spark.sql(s"create or replace temp view in_sql as select id from parquet.`$table` where k = 1")
    assertSame(spark.table("in_sql"), spark.sql(s"select id from parquet.`$table` where k = 1"))
    assertSame(spark.table("in_sql"), read().filter("k = 1").select("id"))
  }

  test("changes: a temporary view that is replaced") {
    read().filter("id > 3").createOrReplaceTempView("replaced")
    val before = durable(spark.table("replaced"))
    read().filter("id > 4").createOrReplaceTempView("replaced")
    assert(durable(spark.table("replaced")) != before)
  }

  test("keeps: a catalog view instead of its text") {
    spark.sql(s"create or replace view kept as select id, k from parquet.`$table` where k = 1")
    try assertSame(spark.table("kept"), spark.sql(s"select id, k from parquet.`$table` where k = 1"))
    finally spark.sql("drop view kept")
  }

  test("keeps: the order of the operands of AND, OR, =, + of two, and IN") {
    assertSame(read().filter("id > 3 and k = 1 and s <> 'a'"), read().filter("s <> 'a' and (k = 1 and id > 3)"))
    assertSame(read().filter("id > 3 or k = 1"), read().filter("k = 1 or id > 3"))
    assertSame(read().filter("id = k"), read().filter("k = id"))
    assertSame(read().selectExpr("id + k as a"), read().selectExpr("k + id as a"))
    assertSame(read().filter("id in (1, 2)"), read().filter("id in (2, 1)"))
    assertSame(read().filter("id > k"), read().filter("k < id"))
  }

  test("keeps: a new session") {
    val other = spark.newSession()
    assert(durable(other.read.parquet(table).filter("id > 3")) == durable(read().filter("id > 3")))
  }

  test("keeps: configurations that do not change results") {
    val before = durable(read().groupBy("k").count())
    val after = withConf(
      "spark.sql.shuffle.partitions" -> "7",
      "spark.sql.autoBroadcastJoinThreshold" -> "-1",
      "spark.sql.adaptive.enabled" -> "false",
      "spark.sql.files.maxPartitionBytes" -> "1m",
      "spark.sql.codegen.wholeStage" -> "false"
    )(durable(read().groupBy("k").count()))
    assert(after == before)
  }

  test("keeps: hints, metrics, and how a range is partitioned") {
    assertSame(read().hint("broadcast"), read())
    assertSame(
      read().join(broadcast(read().select("id")), "id"),
      read().join(read().select("id"), "id")
    )
    assertSame(read().observe("metrics", count(lit(1))), read())
    assertSame(spark.range(0, 10, 1, 4).toDF(), spark.range(0, 10, 1, 2).toDF())
  }

  test("keeps: a selection of all columns in their order") {
    assertSame(read().select("id", "k", "s"), read())
    assertSame(read().select(col("*")), read())
  }

  test("keeps: SQL instead of the DataFrame API") {
    assertSame(
      spark.sql(s"select id + 1 as a, upper(s) as b from parquet.`$table` where k = 1"),
      read().filter(col("k") === 1).select((col("id") + 1).as("a"), upper(col("s")).as("b"))
    )
    assertSame(spark.sql("select id from range(10)"), spark.range(10).toDF())
    assertSame(spark.sql(s"select id + 1 from parquet.`$table`"), read().select(col("id") + 1))
  }

  test("keeps: how the path is spelled") {
    assertSame(spark.read.parquet(table + "/"), read())
    assertSame(spark.read.format("parquet").option("path", table).load(), read())
  }

  // Common table expressions, subqueries, lambdas.

  test("durable: common table expressions, whatever their names") {
    def query(name: String) =
      spark.sql(s"with $name as (select id, k from parquet.`$table` where id > 3) " +
        s"select a.id from $name a join $name b on a.id = b.k")
    assertSame(query("t"), query("u"))
    assertDiffers(
      query("t"),
      spark.sql(s"with t as (select id, k from parquet.`$table` where id > 4) " +
        "select a.id from t a join t b on a.id = b.k")
    )
  }

  test("durable: a recursive common table expression") {
    def query(limit: Int) = spark.sql(
      s"with recursive t(n) as (select 1 union all select n + 1 from t where n < $limit) select n from t"
    )
    assume(spark.version >= "4.1", "recursion came with Spark 4.1")
    assertSame(query(5), query(5))
    assertDiffers(query(5), query(6))
  }

  test("durable: scalar, EXISTS, IN and correlated subqueries") {
    read().createOrReplaceTempView("t")
    Seq(
      "select id, (select max(k) from t) m from t" -> "select id, (select min(k) from t) m from t",
      "select id from t where exists (select 1 from t u where u.k = t.id)" ->
        "select id from t where exists (select 1 from t u where u.id = t.id)",
      "select id from t where id in (select k from t)" -> "select id from t where id in (select id from t)",
      "select id from t where id not in (select k from t)" -> "select id from t where id in (select k from t)",
      "select id, (select max(u.id) from t u where u.k = t.k) m from t" ->
        "select id, (select max(u.id) from t u where u.k = t.id) m from t",
      "select t.id, l.x from t, lateral (select t.k + u.id as x from t u) l" ->
        "select t.id, l.x from t, lateral (select t.id + u.id as x from t u) l"
    ).foreach { case (one, other) =>
      assertSame(spark.sql(one), spark.sql(one))
      assertDiffers(spark.sql(one), spark.sql(other))
    }
  }

  test("durable: higher-order functions, whatever their variables are called") {
    val arrays = read().select(sequence(lit(0), col("id").cast("int")).as("a"))
    assertSame(arrays.selectExpr("transform(a, x -> x + 1) b"), arrays.selectExpr("transform(a, y -> y + 1) b"))
    assertDiffers(
      arrays.selectExpr("transform(a, (x, i) -> x - i) b"),
      arrays.selectExpr("transform(a, (i, x) -> x - i) b")
    )
    assertDiffers(
      arrays.selectExpr("transform(a, x -> transform(a, y -> x - y)) b"),
      arrays.selectExpr("transform(a, x -> transform(a, y -> y - x)) b")
    )
  }

  test("durable: windows, joins, unions, set operations, generators, pivots") {
    read().createOrReplaceTempView("t")
    val queries = Seq(
      "select id, row_number() over (partition by k order by id) r from t",
      "select id, sum(id) over (partition by k order by id rows between 1 preceding and current row) r from t",
      "select a.id, b.s from t a left join t b on a.id = b.k",
      "select a.id, b.s from t a full outer join t b on a.id = b.k",
      "select a.id from t a left anti join t b on a.id = b.k",
      "select id from t union all select k from t",
      "select id from t union select k from t",
      "select id from t intersect select k from t",
      "select id from t except select k from t",
      "select id, e from t lateral view explode(array(id, k)) x as e",
      "select id, p, e from t lateral view posexplode(array(id, k)) x as p, e",
      "select k, count(*) c from t group by k having count(*) > 2",
      "select k, s, count(*) c from t group by cube (k, s)",
      "select * from (select k, id from t) pivot (sum(id) for k in (0, 1, 2))",
      "select id, n, v from t unpivot (v for n in (k))",
      "select distinct k from t",
      "select id from t order by id limit 3 offset 2",
      "select id from values (1), (2) as v(id)",
      "select 1 as one"
    )
    queries.foreach(query => assertSame(spark.sql(query), spark.sql(query)))
    val digests = queries.map(query => durable(spark.sql(query)))
    assert(digests.distinct.length == queries.length)
    assertSame(read().dropDuplicates("k"), read().dropDuplicates("k"))
  }

  test("durable: SQL functions and session variables, by what they stand for") {
    spark.sql("create or replace temporary function plus(x bigint) returns bigint return x + 1")
    read().createOrReplaceTempView("t")
    val first = durable(spark.sql("select plus(id) a from t"))
    assert(durable(spark.sql("select plus(id) a from t")) == first)
    spark.sql("create or replace temporary function plus(x bigint) returns bigint return x + 2")
    assert(durable(spark.sql("select plus(id) a from t")) != first)
    spark.sql("declare or replace variable v bigint default 1")
    val one = durable(spark.sql("select id + v a from t"))
    spark.sql("set variable v = 2")
    assert(durable(spark.sql("select id + v a from t")) != one)
  }
}
