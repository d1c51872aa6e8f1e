package io.dlcache.key.fuzz

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.functions._

/** Rows that depend on how the data is spread over partitions, on chance, or on the time. */
private[fuzz] object PlacementQueries {

  def of(places: Tables.Places): Seq[Query] = statements ++ Seq(
    Query.of("sample", (0.5, 7L), (0.5, 8L), (0.4, 7L)) { case (s, (fraction, seed)) =>
      s.table("wide").sample(fraction, seed)
    },
    Query.of("sample with replacement", true, false)((s, replace) => s.table("wide").sample(replace, 0.7, 3)),
    Query.of("sampleBy", 3L, 4L)((s, seed) => s.table("wide").stat.sampleBy("b", Map(1L -> 0.5, 2L -> 1.0), seed)),
    Query.of("randomSplit", (0, 7L), (1, 7L), (0, 8L)) { case (s, (i, seed)) =>
      s.table("wide").randomSplit(Array(0.5, 0.5), seed)(i)
    },
    Query.of("randomSplit of a join", (0, 7L), (1, 7L)) { case (s, (i, seed)) =>
      joined(s).randomSplit(Array(0.5, 0.5), seed)(i)
    },
    Query.of("rand above a join", 7, 8)((s, seed) => joined(s).withColumn("r1", rand(seed))),
    Query.of("rand above a group", 7, 8)((s, seed) =>
      s.table("wide").groupBy("b").count().withColumn("r1", rand(seed))
    ),
    Query.of("rand above a union", 7, 8)((s, seed) =>
      s.table("wide").union(s.table("wide")).withColumn("r1", rand(seed))
    ),
    Query.of("rand above buckets", 7, 8)((s, seed) =>
      s.table("fuzz.bt").groupBy("b").count().withColumn("r1", rand(seed))
    ),
    Query.of("rand above files", 7, 8)((s, seed) => s.read.parquet(places.of("parts")).withColumn("r1", rand(seed))),
    Query.of("rand above a repartition", 7, 8)((s, seed) =>
      s.table("wide").repartition(3).withColumn("r1", rand(seed))
    ),
    Query.of("partition ids", 3, 4)((s, slices) =>
      s.range(0, 20, 1, slices).select(col("id"), spark_partition_id().as("p"))
    ),
    Query.of("increasing ids", 3, 4)((s, slices) =>
      s.range(0, 20, 1, slices).select(col("id"), monotonically_increasing_id().as("p"))
    ),
    Query.frame("partition ids above a shuffle")(s =>
      s.table("wide").groupBy("b").count().withColumn("p", spark_partition_id())
    ),
    Query.frame("partition ids above a join")(s => joined(s).withColumn("p", spark_partition_id())),
    Query.frame("partition ids of files")(s =>
      s.read.parquet(places.of("parts")).withColumn("p", spark_partition_id())
    ),
    Query.frame("file names")(s => s.read.parquet(places.of("parts")).withColumn("p", input_file_name())),
    Query.frame("file blocks") { s =>
      s.read.parquet(places.of("parts")).selectExpr(
        "a",
        "input_file_block_start() as p",
        "input_file_block_length() as q"
      )
    }
  )

  private def joined(session: SparkSession) =
    session.table("wide").as("l").join(session.table("wide").as("r"), expr("l.b = r.c")).selectExpr("l.a", "r.a as k")

  private val statements: Seq[Query] = Corpus.statements("""
select a, rand(3) as i from t;
select a, randn(3) as i, uniform(1, 9, 5) as k from wide;
select a, rand() as i from t;
select a, uuid() as i from t;
select a, shuffle(arr) as i from t;
select a, shuffle(arr, 4) as i, randstr(3, 5) as k from t;
select a from wide where rand(4) < 0.5;
select a, rand(4) as i from wide order by a limit 7;
select b, max(i) as i from (select b, rand(4) as i from wide) group by b;
select a, current_timestamp() as i from t;
select a, current_date() as i from t;
select a, now() as i, localtimestamp() as k, current_time() as l from t;
select a from t where ts < now();
select a, unix_timestamp() as i from t;
select a, current_user() as i, current_database() as k, current_catalog() as l from t;
select a, spark_partition_id() as i from wide;
select a, monotonically_increasing_id() as i from wide;
select b, spark_partition_id() as i, count(*) as n from wide group by b;
select l.a, r.a as k, monotonically_increasing_id() as i from wide l join wide r on l.b = r.c;
select reflect('java.lang.Math', 'abs', -1) as i, a from t
""")
}
