package io.dlcache.key

import java.nio.file.{Files, Path}
import java.nio.file.attribute.FileTime

import io.dlcache.spark.ApplicationIdentity
import org.apache.spark.sql.{DataFrame, KeyTestAccess, Row}
import org.apache.spark.sql.expressions.Aggregator
import org.apache.spark.sql.Encoders
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._

/** What has no durable identity, the reasons, and what holds within an application. */
class SessionKeySuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  test("session: an RDD, by its number") {
    val session = spark
    import session.implicits._
    val rdd = spark.sparkContext.parallelize(Seq(1, 2))
    assert(sessionBecause(rdd.toDF("a")) == Set("rdd"))
    assert(digest(rdd.toDF("a")) == digest(rdd.toDF("a")))
    assert(digest(rdd.toDF("a")) != digest(spark.sparkContext.parallelize(Seq(1, 2)).toDF("a")))
    val rows = spark.createDataFrame(
      spark.sparkContext.parallelize(Seq(Row(1))),
      StructType(Seq(StructField("a", IntegerType)))
    )
    assert(sessionBecause(rows) == Set("rdd"))
    assert(digest(rows) == digest(rows))
    assert(sessionBecause(read().localCheckpoint()) == Set("rdd"))
  }

  test("session: a Scala UDF, by its function object") {
    val plus = udf((x: Long) => x + 1)
    val named = udf((x: Long) => x + 1).withName("clean")
    assert(sessionBecause(read().select(plus(col("id")))) == Set("scala-udf"))
    assert(digest(read().select(plus(col("id")).as("a"))) == digest(read().select(plus(col("id")).as("a"))))
    assert(digest(read().select(plus(col("id")).as("a"))) != digest(read().select(named(col("id")).as("a"))))
    assert(reasons(keyOf(read().select(named(col("id"))))) == Seq("Scala or Java UDF `clean`"))
  }

  test("session: a captured value, since it is another object") {
    def add(n: Long) = udf((x: Long) => x + n)
    val (one, two) = (add(1), add(2))
    assert(digest(read().select(one(col("id")).as("a"))) != digest(read().select(two(col("id")).as("a"))))
  }

  test("session: an aggregator over objects") {
    object Sum extends Aggregator[Long, Long, Long] {
      def zero: Long = 0
      def reduce(a: Long, b: Long): Long = a + b
      def merge(a: Long, b: Long): Long = a + b
      def finish(a: Long): Long = a
      def bufferEncoder = Encoders.scalaLong
      def outputEncoder = Encoders.scalaLong
    }
    assert(sessionBecause(read().agg(udaf(Sum).apply(col("id")))).contains("scala-udf"))
  }

  test("session: typed functions") {
    val session = spark
    import session.implicits._
    val ids = read().select("id").as[Long]
    val increment = (x: Long) => x + 1
    val mapped = ids.map(increment)
    assert(sessionBecause(mapped.toDF()) == Set("typed-lambda"))
    assert(digest(mapped.toDF()) == digest(ids.map(increment).toDF()))
    assert(digest(mapped.toDF()) != digest(ids.map(_ + 1).toDF()))
    assert(sessionBecause(ids.filter((x: Long) => x > 1).toDF()) == Set("typed-lambda"))
    assert(sessionBecause(ids.mapPartitions(rows => rows).toDF()) == Set("typed-lambda", "partitioning"))
    assert(sessionBecause(ids.groupByKey(_ % 2).mapGroups((k, rows) => k + rows.size).toDF()) == Set("typed-lambda"))
  }

  test("session: randomness without a seed") {
    assert(sessionBecause(spark.sql("select rand() a")) == Set("unseeded-randomness"))
    assert(sessionBecause(spark.sql("select randn() a")) == Set("unseeded-randomness"))
    assert(sessionBecause(spark.sql("select uuid() a")) == Set("unseeded-randomness"))
    assert(sessionBecause(spark.sql("select shuffle(array(1, 2)) a")) == Set("unseeded-randomness"))
    assert(sessionBecause(spark.sql("select randstr(3) a")) == Set("unseeded-randomness"))
    assert(sessionBecause(spark.sql("select uniform(1, 9) a")) == Set("unseeded-randomness"))
    assert(sessionBecause(read().select(rand())) == Set("unseeded-randomness"))
    assert(sessionBecause(read().sample(0.5)) == Set("unseeded-randomness"))
    assert(sessionBecause(read().randomSplit(Array(0.5, 0.5)).head) == Set("unseeded-randomness"))
    val once = read().select(rand())
    assert(digest(once) == digest(once))
  }

  test("session: inside subqueries, common table expressions and views too") {
    read().withColumn("at", current_timestamp()).createOrReplaceTempView("stamped")
    read().createOrReplaceTempView("t")
    assert(sessionBecause(spark.table("stamped")) == Set("clock"))
    assert(sessionBecause(spark.sql("select id from t where id < (select max(unix_timestamp(at)) from stamped)")) ==
      Set("clock"))
    assert(
      sessionBecause(spark.sql("with c as (select rand() r from t) select * from c")) == Set("unseeded-randomness")
    )
  }

  test("session: all reasons are collected") {
    val plus = udf((x: Long) => x + 1)
    val mixed = read().select(plus(col("id")), current_timestamp(), rand(), monotonically_increasing_id())
    assert(sessionBecause(mixed) == Set("scala-udf", "clock", "unseeded-randomness", "partitioning"))
  }

  test("never a hit: a source that reports no state, unless the user names its rows") {
    val relation = spark.read.format(classOf[ConstantSource].getName).load()
    relation.createOrReplaceTempView("stateless")
    val queries = Seq(
      () => relation,
      () => spark.table("stateless"),
      () => read().join(relation, col("id") === col("a")),
      () => read().filter("id in (select a from stateless)")
    )
    queries.foreach { query =>
      val (first, second) = (keyOf(query()), keyOf(query()))
      assert(sessionBecause(query()) == Set("unversioned-input"))
      assert(first.digest != second.digest && !first.isRepeatable)
      assert(reasons(first).exists(_.contains("never a hit. Give key=")))
    }
    assert(PlanKey.of(relation, Map.empty, Some("k")).digest == PlanKey.of(relation, Map.empty, Some("k")).digest)
    val persisted = relation.filter("a > 0").persist()
    try assert(!keyOf(persisted).isRepeatable)
    finally persisted.unpersist(blocking = true)
  }

  test("never a hit: reflection, a file that a function reads") {
    read().createOrReplaceTempView("t")
    val queries = Seq(
      spark.sql("select reflect('java.lang.System', 'nanoTime') a"),
      spark.sql("select java_method('java.lang.System', 'nanoTime') a"),
      spark.sql("select from_xml(s, 'a int', map('rowValidationXSDPath', '/x.xsd')) a from t")
    )
    queries.foreach(query => assert(!keyOf(query).isRepeatable && digest(query) != digest(query)))
  }

  test("never a hit: encryption that draws its initialization vector") {
    read().createOrReplaceTempView("t")
    def encrypted(more: String) = spark.sql(s"select hex(aes_encrypt(s, '0000111122223333'$more)) a from t")
    Seq("", ", 'GCM'", ", 'CBC', 'PKCS', ''").foreach(more => assert(!keyOf(encrypted(more)).isRepeatable, more))
    val fixed = Seq(", 'ECB'", ", 'GCM', 'DEFAULT', unhex('000000000000000000000000')")
    assert(fixed.map(more => durable(encrypted(more))).distinct.length == 2)
  }

  test("persisted input: durable where its lineage is") {
    val data = read().filter("id > 2")
    val before = durable(data)
    data.persist()
    try {
      data.count()
      assert(durable(data) == before)
      assert(durable(read().filter("id > 2")) == before)
      assert(durable(read().filter("id > 2").select("k")) == durable(data.select("k")))
    } finally data.unpersist(blocking = true)
  }

  test("persisted input: settings that have changed since make it another") {
    val name = "spark.sql.legacy.sizeOfNull"
    def data() = read().filter("id > 3")
    val before = durable(data())
    withConf(name -> "false") {
      val under = digest(data())
      data().persist()
      assert(data().count() > 0)
      assert(digest(data()) == under)
    }
    try {
      assert(sessionBecause(data()) == Set("persisted"))
      assert(digest(data()) == digest(data()) && digest(data()) != before)
      withConf(name -> "false")(assert(keyOf(data()).scope == PlanKey.Durable))
    } finally data().unpersist(blocking = true): Unit
    assert(durable(data()) == before)
  }

  test("persisted input: the key is of the rows that Spark would give, not of the files that lie there now") {
    val path = parquet("stale")
    val old = spark.read.parquet(path)
    val before = durable(old)
    old.persist()
    try {
      assert(old.count() == 10)
      val file = dataFiles(path).head
      Files.copy(file, Path.of(path, "part-more.parquet"))
      Files.setLastModifiedTime(Path.of(path, "part-more.parquet"), FileTime.fromMillis(1))
      val fresh = spark.read.parquet(path)
      // Spark answers from what was persisted, whatever the new listing says.
      assert(fresh.count() == 10)
      assert(durable(fresh) == before)
      old.unpersist(blocking = true)
      val reread = spark.read.parquet(path)
      assert(reread.count() == 20)
      assert(durable(reread) != before)
    } finally old.unpersist(blocking = true)
  }

  test("persisted input: its common table expressions are its own") {
    read().createOrReplaceTempView("t")
    val inner = spark.sql("with c as (select id from t where k = 1) select a.id from c a join c b on a.id = b.id")
    inner.createOrReplaceTempView("inner_query")
    def outer() = spark.sql(
      "with d as (select k from t where id > 2) select x.id from inner_query x join d y on x.id = y.k join d z on x.id = z.k"
    )
    val before = durable(outer())
    inner.persist()
    try assert(durable(outer()) == before)
    finally inner.unpersist(blocking = true)
  }

  test("session: a Hive UDF") {
    val data = spark.range(3).toDF()
    val function = org.apache.spark.sql.hive.HiveStandIn(data.queryExecution.analyzed.output.head)
    assert(sessionBecause(data.select(KeyTestAccess.column(function))) == Set("hive-udf"))
  }

  test("large local data is not hashed") {
    val session = spark
    import session.implicits._
    val data = Seq("a" * 1000, "b" * 1000).toDF("s")
    val encoder = new PlanEncoder(localBytes = 1000)
    val first = encoder.encode(data.queryExecution.analyzed)
    assert(encoder.reasons.map(_.code) == Seq("large-local-data"))
    assert(new PlanEncoder(localBytes = 1000).encode(data.queryExecution.analyzed) == first)
    assert(new PlanEncoder(localBytes = 10000).encode(data.queryExecution.analyzed) != first)
  }

  test("user: the key is the user's, with the schema and the write options") {
    def key(data: DataFrame, name: String, options: Map[String, String] = Map.empty) =
      PlanKey.of(data, options, Some(name))
    val first = key(read(), "train-v3")
    assert(first.scope == PlanKey.User && first.applicationId.isEmpty)
    assert(key(read().filter("id > 3"), "train-v3").digest == first.digest)
    assert(key(read().withColumn("s", when(rand() > 0.5, "x")), "train-v3").digest == first.digest)
    assert(key(read(), "train-v4").digest != first.digest)
    assert(key(read().select("id"), "train-v3").digest != first.digest)
    assert(key(read(), "train-v3", Map("dtype" -> "float32")).digest != first.digest)
    assert(first.explanation.get("user-key").asText == "train-v3")
    assert(!first.explanation.has("inputs"))
  }

  test("a session key belongs to its SparkContext, whose id no other has") {
    val plus = udf((x: Long) => x + 1)
    val key = keyOf(read().select(plus(col("id"))))
    val id = key.applicationId.get
    assert(id.startsWith(spark.sparkContext.applicationId + "/"))
    assert(id.drop(spark.sparkContext.applicationId.length + 1).matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))
    assert(ApplicationIdentity.of(spark.sparkContext) == id)
    assert(key.digest.matches("[0-9a-f]{64}"))
  }
}
