package io.dlcache.key

import java.time.{LocalDate, ZoneId}

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.expressions.{Alias, CurrentDate}
import org.apache.spark.sql.catalyst.plans.logical.{OneRowRelation, Project}
import org.apache.spark.sql.functions.current_timestamp

/** The clock and the session's values are inputs. */
class ClockSuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  private def current(data: DataFrame): Seq[(String, String)] = {
    val inputs = keyOf(data).explanation.get("inputs")
    (0 until inputs.size).map(inputs.get).filter(_.get("kind").asText == "current")
      .map(input => input.get("function").asText -> input.get("value").asText)
  }

  test("never a hit: the time") {
    Seq(
      "current_timestamp()",
      "now()",
      "localtimestamp()",
      "unix_timestamp()",
      "to_unix_timestamp(now())",
      "cast('now' as timestamp)",
      "cast(' Now ' as timestamp_ntz)",
      "date_trunc('hour', now())"
    ).foreach { sql =>
      val query = spark.sql(s"select $sql a")
      assert(sessionBecause(query) == Set("clock"), sql)
      assert(digest(query) != digest(query) && !keyOf(query).isRepeatable, sql)
    }
    val stamped = read().withColumn("at", current_timestamp())
    assert(digest(stamped) != digest(stamped))
    assert(reasons(keyOf(stamped)).forall(_.contains("never a hit. Give key=")))
  }

  test("durable: the date, by the day in the session's time zone") {
    Seq(
      "current_date()",
      "curdate()",
      "date_sub(current_date(), 7)",
      "cast('now' as date)",
      "cast(' Tomorrow' as date)",
      "cast('today' as timestamp)",
      "cast('yesterday UTC' as timestamp_ntz)",
      "cast('12:30:00' as timestamp)",
      "(select max(current_date()))"
    ).foreach { sql =>
      val query = spark.sql(s"select $sql a")
      assert(durable(query) == durable(spark.sql(s"select $sql a")), sql)
      assert(current(query).length == 1 && keyOf(query).states.length == 1, sql)
    }
    Seq("Pacific/Kiritimati", "Pacific/Pago_Pago").foreach { zone =>
      withConf("spark.sql.session.timeZone" -> zone) {
        assert(current(spark.sql("select current_date() a")) ==
          Seq("current_date()" -> s"DATE '${LocalDate.now(ZoneId.of(zone))}'"))
      }
    }
    Seq("cast('2024-01-01' as date)", "cast('2024-01-01 12:30:00' as timestamp)", "cast('epoch' as timestamp)")
      .foreach(sql => assert(current(spark.sql(s"select $sql a")).isEmpty, sql))
    durable(spark.sql("select to_date(s, 'yyyy') a from values ('now') v(s)"))
  }

  test("another day is another key") {
    // Two time zones in which it is never the same day, and two in which it always is.
    def encoded(zone: String) =
      new PlanEncoder().encode(Project(Seq(Alias(CurrentDate(Some(zone)), "a")()), OneRowRelation()))
    assert(encoded("Pacific/Kiritimati") != encoded("Pacific/Pago_Pago"))
    assert(encoded("UTC") == encoded("Etc/UTC"))
  }

  test("durable: the user and the current catalog and database, by their values") {
    Seq("current_user()", "session_user()", "current_database()", "current_schema()", "current_catalog()")
      .foreach { sql =>
        val key = durable(spark.sql(s"select $sql a"))
        assert(durable(spark.sql(s"select $sql a")) == key, sql)
        assert(current(spark.sql(s"select $sql a")).length == 1, sql)
      }
    val before = durable(spark.sql("select current_database() a"))
    spark.sql("create database other_database")
    try {
      spark.sql("use other_database")
      assert(durable(spark.sql("select current_database() a")) != before)
    } finally {
      spark.sql("use default")
      spark.sql("drop database other_database")
    }
    assert(durable(spark.sql("select current_database() a")) == before)
  }

  test("the version function counts with the whole version of Spark") {
    val encoder = new PlanEncoder()
    encoder.encode(spark.sql("select version() a").queryExecution.analyzed)
    assert(encoder.reasons.isEmpty)
    durable(spark.sql("select current_timezone() a"))
  }

  test("persisted rows have the time at which they were persisted, and are told by their identity") {
    Seq("current_timestamp()", "current_date()", "current_database()").foreach { sql =>
      def stamped = read().selectExpr("id", s"$sql as at")
      stamped.persist()
      val first =
        try {
          assert(sessionBecause(stamped) == Set("clock"), sql)
          assert(keyOf(stamped).isRepeatable && digest(stamped) == digest(stamped), sql)
          assert(keyOf(stamped).states == keyOf(read()).states, sql)
          digest(stamped)
        } finally stamped.unpersist(blocking = true)
      stamped.persist()
      try assert(digest(stamped) != first, sql)
      finally stamped.unpersist(blocking = true)
    }
  }
}
