package io.dlcache.key.fuzz

import io.dlcache.key.{ConstantSource, VersionedSource}
import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.functions._
import org.apache.spark.sql.types._

/** Everything that rows come from, but for files by path. */
private[fuzz] object SourceQueries {

  def of(places: Tables.Places): Seq[Query] = tables ++ made ++ versioned ++ stated(places)

  private val tables: Seq[Query] = Corpus.statements("""
select a, b, c from fuzz.ft;
select a, b from fuzz.ot where a > 1;
select a, b, s from fuzz.ct;
select a, b, st.p as i from fuzz.jt;
select a, b, c from fuzz.bt where b = 3;
select b, count(*) as n from fuzz.bt group by b;
select x1.a, y1.c from fuzz.bt x1 join fuzz.bt y1 on x1.b = y1.b where x1.a < 9 and y1.a > 50;
select a, b, p from fuzz.pt;
select a, b from fuzz.pt where p = 1;
select max(p) as i, min(p) as k, count(distinct p) as l from fuzz.pt;
select distinct p from fuzz.pt;
select a, bc from fuzz.pv;
select t.a, pv.bc from t join fuzz.pv on t.a = pv.a;
select ft.a, ot.b from fuzz.ft join fuzz.ot on ft.a = ot.a where ft.b > 5;
table fuzz.ft;
values (1, 'a'), (2, 'b');
show tables in fuzz;
describe fuzz.ft
""")

  private val made: Seq[Query] = Seq(
    Query.of("range", (0L, 20L, 3L, 2), (1L, 20L, 3L, 2), (0L, 21L, 3L, 2), (0L, 20L, 4L, 2), (0L, 20L, 3L, 3)) {
      case (session, (start, end, step, slices)) => session.range(start, end, step, slices).toDF()
    },
    Query.of("local rows", Seq(1 -> "x", 2 -> "y"), Seq(2 -> "y", 1 -> "x"), Seq(1 -> "x"), Seq(1 -> "x", 2 -> "z")) {
      (session, rows) => session.createDataFrame(rows).toDF("i", "s")
    },
    Query.of("rows of a schema", LongType: DataType, IntegerType, DoubleType, StringType) { (session, kind) =>
      val schema = new StructType().add("i", kind).add("j", kind)
      session.createDataFrame(java.util.List.of(Row(null, null)), schema)
    },
    Query.of("an RDD", 2, 3) { (session, slices) =>
      session.createDataFrame(session.sparkContext.parallelize(Seq(1 -> 2, 3 -> 4, 5 -> 6), slices)).toDF("i", "j")
    },
    Query.frame("an empty DataFrame")(_.emptyDataFrame),
    Query.of("nested values", 1, 2) { (session, n) =>
      session.range(3).select(array(lit(n), col("id")).as("v"), struct(lit(n).as("p"), col("id")).as("w"))
    }
  )

  private val versioned: Seq[Query] = Seq(
    Query.of("a versioned table", ("1", "7"), ("1", "8"), ("2", "7")) { case (session, (id, version)) =>
      session.read.format(classOf[VersionedSource].getName).option("id", id).option("version", version).load()
    },
    Query.frame("a source without a state")(_.read.format(classOf[ConstantSource].getName).load())
  )

  private def stated(places: Tables.Places): Seq[Query] = Seq(
    Query.frame("a temporary view of files") { session =>
      session.read.parquet(places.of("parquet")).createOrReplaceTempView("viewed")
      session.table("viewed").filter("a > 1").select("a", "b")
    },
    Query.frame("persisted files") { session =>
      persisted(session).select("a", "b").filter("b > 2")
    },
    Query.frame("persisted joins") { session =>
      val data = persisted(session)
      data.as("l").join(data.as("r"), expr("l.a = r.b")).selectExpr("l.c as i", "r.c as k")
    },
    Query.frame("checkpoints")(session => session.table("t").select("a", "b").localCheckpoint()),
    Query.frame("several paths") { session =>
      session.read.parquet(places.of("parts"), places.of("parts")).groupBy("b").count()
    },
    Query.frame("SQL on files")(_.sql(s"select a, c from parquet.`${places.of("parts")}` where b = 1"))
  )

  private def persisted(session: SparkSession) = session.table("wide").filter("a < 20").persist()
}
