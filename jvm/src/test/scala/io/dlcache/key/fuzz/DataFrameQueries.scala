package io.dlcache.key.fuzz

import org.apache.spark.sql.{DataFrame, KeyTestAccess, SparkSession}
import org.apache.spark.sql.expressions.Window
import org.apache.spark.sql.functions._

/** What only the DataFrame API has: as-of joins, statistics, typed functions, UDFs. */
private[fuzz] object DataFrameQueries {

  private def t(session: SparkSession): DataFrame = session.table("t")
  private def r(session: SparkSession): DataFrame = session.table("r")

  val all: Seq[Query] = relational ++ asOf ++ typed

  private def relational: Seq[Query] = Seq(
    Query.of("select", Seq("a", "b"), Seq("b", "a"), Seq("a", "c"), Seq("a"))((s, names) =>
      t(s).select(names.map(col): _*)
    ),
    Query.of("filter", 2, 3)((s, n) => t(s).filter(col("a") > n).select("a", "b")),
    Query.of("withColumn", "z1", "z2")((s, name) => t(s).select("a", "b").withColumn(name, col("a") * 2)),
    Query.of("withColumnRenamed", "z1", "z2")((s, name) => t(s).select("a", "b").withColumnRenamed("a", name)),
    Query.of("dropDuplicates", Seq("c"), Seq("b"), Seq("b", "c"))((s, names) =>
      t(s).select("a", "b", "c").dropDuplicates(names)
    ),
    Query.of("na.fill", 0L, 1L)((s, n) => t(s).select("a", "b").na.fill(n)),
    Query.of("na.drop", Seq("b"), Seq("a"), Seq("x"))((s, names) => t(s).select("a", "b", "x").na.drop(names)),
    Query.of("na.replace", 5 -> 6, 5 -> 7, 7 -> 6)((s, pair) => t(s).select("a", "b").na.replace("b", Map(pair))),
    Query.of("limit", 2, 3)((s, n) => t(s).select("a").orderBy("a").limit(n)),
    Query.of("offset", 1, 2)((s, n) => t(s).select("a").orderBy("a").offset(n)),
    Query.of("join", "inner", "left", "right", "outer", "left_semi", "left_anti") { (s, kind) =>
      t(s).select("a", "c").join(r(s).select("a", "k"), Seq("a"), kind)
    },
    Query.of("join of one table", "i.a = k.b", "i.b = k.a", "i.a = k.c") { (s, condition) =>
      t(s).as("i").join(t(s).as("k"), expr(condition)).select("i.a", "k.c")
    },
    Query.of("unionByName", true, false)((s, missing) =>
      t(s).select("a", "b").unionByName(r(s).select("b", "a"), missing)
    ),
    Query.of("cube", Seq("b"), Seq("c"), Seq("b", "c"))((s, names) =>
      t(s).cube(names.map(col): _*).agg(sum("a").as("n"))
    ),
    Query.of("pivot", Seq(1, 2), Seq(2, 1), Seq(1, 3)) { (s, values) =>
      t(s).groupBy("b").pivot("c", values).agg(sum("a"))
    },
    Query.of("unpivot", Array("b", "c"), Array("c", "b")) { (s, names) =>
      t(s).select("a", "b", "c").unpivot(Array(col("a")), names.map(col), "n1", "v1")
    },
    Query.frame("transpose")(s => t(s).select("a", "b", "c").orderBy("a").limit(3).transpose()),
    Query.of("repartition", 2, 3)((s, n) => t(s).select("a", "b").repartition(n, col("b"))),
    Query.of("repartitionByRange", "a", "b")((s, name) => t(s).select("a", "b").repartitionByRange(2, col(name))),
    Query.of("coalesce", 1, 2)((s, n) => s.table("wide").coalesce(n)),
    Query.of("sortWithinPartitions", "a", "b")((s, name) => s.table("wide").sortWithinPartitions(name)),
    Query.of("tail", 2, 3)((s, n) =>
      s.createDataFrame(t(s).select("a").orderBy("a").collect().takeRight(n).toList.map(_.getInt(0)).map(Tuple1(_)))
    ),
    Query.of("window", "c", "b") { (s, name) =>
      t(s).select(col("a"), sum("a").over(Window.partitionBy(name).orderBy("a").rowsBetween(-1, 1)).as("n"))
    },
    Query.of("exists", "a", "b") { (s, name) =>
      t(s).where(r(s).where(col("a") === col(name).outer()).exists()).select("a", "b")
    },
    Query.of("scalar", "a", "c") { (s, name) =>
      t(s).select(col("a"), r(s).where(col("b") === col(name).outer()).agg(max("k")).scalar().as("m"))
    },
    Query.of("lateralJoin", "a", "c") { (s, name) =>
      t(s).lateralJoin(r(s).where(col("b") === col(name).outer()).select(col("k"), col("b").as("l"))).select(
        "a",
        "k",
        "l"
      )
    },
    Query.of("observe", "one", "two")((s, name) => t(s).select("a", "b").observe(name, count(lit(1)).as("n"))),
    Query.of("hint", "broadcast", "merge", "shuffle_hash")((s, name) =>
      t(s).select("a", "b").join(r(s).hint(name).select("a", "k"), "a")
    ),
    Query.of("withField", "p", "q")((s, name) =>
      t(s).select(col("st").withField(name, col("a")).as("i"), col("st").dropFields("q").as("k"))
    ),
    Query.of("approxQuantile sketch", 10, 20)((s, n) =>
      t(s).agg(approx_percentile(col("a"), lit(0.5), lit(n)).as("i"))
    ),
    Query.of("crosstab", "b", "c")((s, name) => t(s).stat.crosstab("a", name)),
    Query.of("freqItems", 0.3, 0.6)((s, support) => t(s).stat.freqItems(Array("b", "c"), support)),
    Query.of("summary", Seq("count", "max"), Seq("count", "min"))((s, names) =>
      t(s).select("a", "x").summary(names: _*)
    ),
    Query.of("describe", "a", "b")((s, name) => t(s).describe(name)),
    Query.of("to", "a long, b int", "a double, b int")((s, schema) =>
      t(s).select("a", "b").to(org.apache.spark.sql.types.StructType.fromDDL(schema))
    )
  )

  /** Joins with the nearest row, which pandas on Spark uses. */
  private def asOf: Seq[Query] =
    for (direction <- Seq("backward", "forward", "nearest"))
      yield Query.of(s"asOfJoin $direction", ("inner", true), ("left", true), ("inner", false)) {
        case (s, (kind, exact)) =>
          KeyTestAccess.joinAsOf(
            t(s).select("a", "b", "c"),
            s.table("n").select("a", "b", "p"),
            "a",
            "a",
            kind,
            exact,
            direction
          )
      }

  private def typed: Seq[Query] = {
    val plus = udf((x: Int) => x + 1)
    val less = udf((x: Int) => x - 1)
    val increment = (x: Long) => x + 1
    val even = (x: Long) => x % 2 == 0
    Seq(
      Query.of("a UDF", plus, less)((s, function) => t(s).select(function(col("a")).as("i"), col("b"))),
      Query.of("a UDF of another column", "a", "c")((s, name) => t(s).select(plus(col(name)).as("i"))),
      Query.frame("map") { s =>
        import s.implicits._
        s.range(6).as[Long].map(increment).toDF()
      },
      Query.frame("mapPartitions") { s =>
        import s.implicits._
        s.range(6).as[Long].mapPartitions(rows => Iterator(rows.sum)).toDF()
      },
      Query.frame("typed filter") { s =>
        import s.implicits._
        s.range(6).as[Long].filter(even).toDF()
      },
      Query.frame("mapGroups") { s =>
        import s.implicits._
        s.range(6).as[Long].groupByKey(_ % 2).mapGroups((k, rows) => k -> rows.sum).toDF("i", "k")
      },
      Query.frame("cogroup") { s =>
        import s.implicits._
        val groups = s.range(6).as[Long].groupByKey(_ % 2)
        groups.cogroup(s.range(4).as[Long].groupByKey(_ % 2))((k, one, two) => Iterator(k -> (one.sum - two.sum))).toDF(
          "i",
          "k"
        )
      },
      Query.frame("reduceGroups") { s =>
        import s.implicits._
        s.range(6).as[Long].groupByKey(_ % 2).reduceGroups(_ + _).toDF("i", "k")
      },
      Query.frame("joinWith") { s =>
        val (one, two) = (s.range(6).toDF("i"), s.range(2, 9).toDF("k"))
        one.joinWith(two, one("i") === two("k")).toDF()
      }
    )
  }
}
