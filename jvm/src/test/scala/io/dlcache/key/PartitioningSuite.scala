package io.dlcache.key

import scala.collection.mutable

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions._
import org.scalacheck.Gen
import org.scalatestplus.scalacheck.ScalaCheckPropertyChecks

/** Rows that depend on how rows are spread over partitions. */
class PartitioningSuite extends KeySuite with ScalaCheckPropertyChecks {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  test("session: functions of partitions, by all that decides the physical plan") {
    Seq(
      "input_file_name()",
      "spark_partition_id()",
      "monotonically_increasing_id()",
      "input_file_block_start()",
      "input_file_block_length()"
    ).foreach { sql =>
      def key() = digest(read().selectExpr(s"$sql a"))
      assert(sessionBecause(read().selectExpr(s"$sql a")) == Set("partitioning"), sql)
      val before = key()
      assert(key() == before, sql)
      Seq(
        "spark.sql.files.maxPartitionBytes" -> "1m",
        "spark.sql.shuffle.partitions" -> "7",
        "spark.sql.adaptive.enabled" -> "false"
      ).foreach(conf => assert(withConf(conf)(key()) != before, s"$sql $conf"))
      assert(key() == before, sql)
    }
    def slices(n: Int) = digest(spark.range(0, 9, 1, n).selectExpr("spark_partition_id() a"))
    assert(slices(2) != slices(3))
    durable(read().select("_metadata.file_path", "_metadata.file_size"))
    Seq("_metadata.file_block_start", "_metadata.file_block_length", "_metadata", "to_json(_metadata)").foreach { sql =>
      assert(sessionBecause(read().selectExpr(s"$sql a")) == Set("partitioning"), sql)
    }
  }

  test("session: a typed function over partitions") {
    val session = spark
    import session.implicits._
    val mapped = read().select("id").as[Long].mapPartitions(rows => Iterator(rows.size)).toDF()
    assert(sessionBecause(mapped) == Set("typed-lambda", "partitioning"))
    val before = digest(mapped)
    assert(withConf("spark.sql.files.maxPartitionBytes" -> "1m")(digest(mapped)) != before)
  }

  test("durable: randomness with a seed over one source") {
    val session = spark
    import session.implicits._
    read().createOrReplaceTempView("t")
    Seq[Int => DataFrame](
      seed => read().select(rand(seed).as("a")),
      seed => spark.sql(s"select rand($seed) a"),
      seed => spark.sql(s"select uuid($seed) a from t"),
      seed => spark.sql(s"with c as (select id from t where k = 1) select id, rand($seed) a from c"),
      seed => spark.range(9).sample(0.5, seed.toLong).toDF(),
      seed => Seq(1, 2, 3).toDF("a").sample(0.5, seed.toLong),
      seed => read().filter("k = 1").withColumn("r", rand(seed)).filter("r < 0.5"),
      seed => read().withColumn("r", rand(seed)).groupBy("k").agg(sum("r")),
      seed => read().orderBy(rand(seed)),
      seed => read().filter("id > 2").randomSplit(Array(0.8, 0.2), seed.toLong).head
    ).foreach { query =>
      assert(durable(query(7)) == durable(query(7)), query(7).queryExecution.analyzed)
      assert(durable(query(7)) != durable(query(8)))
    }
    def split(i: Int) = read().randomSplit(Array(0.8, 0.2), 7)(i)
    assert(durable(split(0)) != durable(split(1)))
  }

  test("durable: what decides the partitions counts for seeded randomness, and only there") {
    def key(seeded: Boolean) = if (seeded) durable(read().sample(0.5, 7)) else durable(read())
    Seq(true, false).foreach { seeded =>
      val before = key(seeded)
      val after = withConf("spark.sql.files.maxPartitionBytes" -> "1m")(key(seeded))
      assert((after != before) == seeded)
    }
    def slices(n: Int) = durable(spark.range(0, 9, 1, n).sample(0.5, 7).toDF())
    assert(slices(2) != slices(3))
    // Files of one size are read together in the order in which they are listed.
    def paths(order: Seq[String]) = spark.read.parquet(order: _*)
    val both = Seq(parquet("one"), parquet("two"))
    assert(durable(paths(both)) == durable(paths(both.reverse)))
    assert(durable(paths(both).sample(0.5, 7)) != durable(paths(both.reverse).sample(0.5, 7)))
  }

  test("session: randomness with a seed above an exchange, a join, a union, a limit, a bucketed or a persisted table") {
    read().createOrReplaceTempView("t")
    read().write.bucketBy(2, "id").saveAsTable("bucketed")
    val persisted = read().filter("id > 1").persist()
    try
      Seq[DataFrame](
        read().join(read().select("id"), "id"),
        read().union(read()),
        read().groupBy("k").count(),
        read().distinct(),
        read().repartition(3),
        read().coalesce(1),
        read().limit(5),
        read().orderBy("id"),
        spark.table("bucketed"),
        persisted,
        spark.sql("select id, row_number() over (order by id) r from t"),
        read().filter("id in (select k from t)")
      ).foreach { data =>
        Seq[DataFrame](data.sample(0.5, 7), data.withColumn("r", rand(7)), data.randomSplit(Array(0.5, 0.5), 7).head)
          .foreach { random =>
            assert(sessionBecause(random).contains("partitioning"), data.queryExecution.analyzed)
            assert(digest(random) == digest(random), data.queryExecution.analyzed)
          }
      }
    finally {
      persisted.unpersist(blocking = true)
      spark.sql("drop table bucketed")
    }
    val inside =
      spark.sql("select id from t where id < (select max(r) from (select k j, rand(7) r from t) where j = t.k)")
    assert(sessionBecause(inside) == Set("partitioning"))
  }

  test("session: randomness that was persisted under other settings is told by its identity") {
    def sampled = read().sample(0.5, 7)
    val before = durable(sampled)
    sampled.persist()
    try {
      assert(sessionBecause(sampled) == Set("partitioning"))
      assert(digest(sampled) != before && digest(sampled) == digest(sampled))
    } finally sampled.unpersist(blocking = true)
    assert(durable(sampled) == before)
  }

  // Two halves of a split that are stored are halves of one split.

  private lazy val left = {
    val path = scratch.resolve("left").toString
    spark.range(0, 600, 1, 4).selectExpr("id", "id % 37 as k").write.parquet(path)
    path
  }
  private lazy val right = {
    val path = scratch.resolve("right").toString
    spark.range(0, 37, 1, 2).selectExpr("id as k", "id * 2 as v").write.parquet(path)
    path
  }

  private def source(kind: String, hint: String): DataFrame = {
    val a = spark.read.parquet(left)
    val b = spark.read.parquet(right)
    val hinted = if (hint.isEmpty) b else b.hint(hint)
    kind match {
      case "scan" => a
      case "join" => a.join(hinted, "k")
      case "aggregate" => a.groupBy("id").agg(max("k").as("k"))
      case "union" => a.filter("id < 200").union(a.filter("id >= 200"))
      case "rebalance" => a.hint("rebalance")
      case "semi" => a.join(hinted, Seq("k"), "left_semi")
    }
  }

  /** Settings that change how rows are spread, few at a time, so that some requests are the same. */
  private val settings: Gen[Seq[(String, String)]] = Gen.choose(0, 2).flatMap(n =>
    Gen.pick(
      n,
      Seq(
        "spark.sql.autoBroadcastJoinThreshold" -> "-1",
        "spark.sql.adaptive.enabled" -> "false",
        "spark.sql.adaptive.coalescePartitions.minPartitionSize" -> "1",
        "spark.sql.adaptive.coalescePartitions.parallelismFirst" -> "false",
        "spark.sql.shuffle.partitions" -> "5",
        "spark.sql.files.maxPartitionBytes" -> "700",
        "spark.sql.unionOutputPartitioning" -> "false"
      )
    ).map(_.toSeq)
  )

  private val request = for {
    kind <- Gen.oneOf("scan", "join", "aggregate", "union", "rebalance", "semi")
    hint <- Gen.oneOf("", "broadcast", "merge")
    confs <- settings
    onlyFirst <- Gen.oneOf(true, false)
  } yield (kind, hint, confs, onlyFirst)

  test("two stored halves of a split are halves of one split, whatever the settings and hints") {
    val stored = mutable.Map.empty[String, Set[Long]]
    var hits = 0
    def ids(half: DataFrame): Set[Long] = {
      val key = digest(half)
      if (stored.contains(key)) hits += 1
      stored.getOrElseUpdate(key, half.select("id").collect().map(_.getLong(0)).toSet)
    }
    forAll(request, minSuccessful(60)) { case (kind, hint, confs, onlyFirst) =>
      withConf(confs: _*) {
        val halves = source(kind, hint).randomSplit(Array(0.5, 0.5), 7)
        val half = ids(halves(0))
        if (!onlyFirst) {
          val other = ids(halves(1))
          assert((half & other).isEmpty && (half | other).size == 600, s"$kind $hint $confs")
        }
      }
    }
    assert(hits > 0)
    info(s"${stored.size} halves, $hits hits")
  }
}
