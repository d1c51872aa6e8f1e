package io.dlcache.key.fuzz

import java.nio.file.{Files, Path}

import org.apache.spark.sql.SparkSession

/** What the queries of the corpus read: temporary views, catalog tables, files of every format, functions and variables. */
private[fuzz] object Tables {

  /** Where the files of one corpus are. */
  final case class Places(root: Path) {
    def of(name: String): String = root.resolve(name).toString
  }

  def create(session: SparkSession, root: Path): Places = {
    val places = Places(root)
    // Small data: compiling takes longer than running.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    // Off by default, but analyzed like any other type.
    session.conf.set("spark.sql.timeType.enabled", "true")
    session.sql("drop database if exists fuzz cascade")
    session.sql(s"create database fuzz location '${root.resolve("tables").toUri}'")
    session.sql("use fuzz")
    Views.foreach(session.sql(_))
    files(session, places)
    catalog(session)
    session.sql("create temporary function plus(i int, j int) returns int return i + 2 * j")
    session.sql("create temporary function few(n int) returns table(i int, j int) return select id, n from range(3)")
    session.sql("declare or replace variable threshold int default 2")
    session.sql("declare or replace variable other int default 3")
    places
  }

  private val Views = Seq(
    """create temporary view t as select * from values
      |(1, 5, 2, 1.5D, 0.25D, 'one', 'Eins', date'2024-01-31', date'2023-05-06', timestamp'2024-01-31 10:11:12.5',
      |  timestamp'2023-05-06 07:08:09', array(1, 2, 3), array(3, 4), map('k', 1, 'l', 2), map('l', 9),
      |  named_struct('p', 1, 'q', 2), X'0102', 1.25, 2.50, true, false, '{"p":1,"q":[1,2]}', '1,2'),
      |(2, 5, 3, 2.5D, -1.0D, 'two', 'zwei', date'2024-02-29', date'2024-02-28', timestamp'2024-02-29 00:00:00',
      |  timestamp'2024-02-28 23:59:59', array(2, 2), array(2), map('k', 3), map('k', 4),
      |  named_struct('p', 3, 'q', 3), X'FF', 3.75, -2.50, false, false, '{"p":2,"q":[]}', '3,4'),
      |(3, 7, 3, -0.0D, 0.0D, 'Three', null, date'1999-12-31', date'2000-01-01', timestamp'1999-12-31 23:00:00',
      |  timestamp'2000-01-01 01:00:00', array(), array(null, 1), map(), map('z', 0),
      |  named_struct('p', 5, 'q', 4), X'', 0.00, 9.99, null, true, '{"p":"x"}', ''),
      |(4, null, 1, double('NaN'), 4.0D, '', ' vier ', null, date'2024-07-01', timestamp'2024-07-01 12:00:00', null,
      |  null, array(7), null, map('m', 5), null, null, null, 7.00, true, true, null, '5'),
      |(5, 9, 1, 4.0D, null, 'five 5', 'FUENF', date'2024-03-10', date'2024-11-03', timestamp'2024-03-10 02:30:00',
      |  timestamp'2024-11-03 01:30:00', array(5, null, 6), array(5, 6), map('k', null), map('k', 1),
      |  named_struct('p', 7, 'q', 7), X'00AA', 12.30, 12.30, false, true, 'bad', '6,7')
      |as t(a, b, c, x, y, s, u, d, e, ts, us, arr, brr, m, n, st, bin, w, z, f, g, j, v)""".stripMargin,
    """create temporary view r as select * from values
      |(1, 2, 5, 'one'), (2, 3, 5, 'two'), (5, 6, 7, 'Three'), (3, 1, 9, null), (1, 1, 1, 'one'), (null, 4, 5, 'x')
      |as r(a, b, k, s)""".stripMargin,
    """create temporary view n as select * from values
      |(1, 2, 'x', 10), (2, 3, 'y', 20), (3, 4, 'x', 30), (4, 4, 'y', 40), (5, 6, 'x', 50), (6, 6, 'z', 60)
      |as n(a, b, s, p)""".stripMargin,
    "create temporary view wide as select id as a, id % 7 as b, (id * 13) % 11 as c from range(0, 60, 1, 4)",
    "create temporary view doc as select parse_json(col1) as v, parse_json(col2) as w from values " +
      """('{"a":1,"b":[1,2]}', '{"a":2}'), ('{"a":"x"}', '{"b":1}') """
  )

  private def files(session: SparkSession, places: Places): Unit = {
    val plain =
      session.table("t").selectExpr("a", "b", "c", "x", "y", "s", "u", "d", "e", "ts", "us", "w", "z", "f", "g")
    plain.coalesce(1).write.parquet(places.of("parquet"))
    plain.coalesce(1).write.orc(places.of("orc"))
    session.table("wide").write.parquet(places.of("parts"))
    session.table("t").selectExpr("a", "b", "x", "s", "c % 2 as p", "g as q").write.partitionBy("p", "q")
      .parquet(places.of("partitioned"))
    write(places, "csv", "a.csv", Seq("a,b,s", "1,2,one", "3,,\"two, 2\"", "# 4,5,x", "5,6, y ", "x,7,", "8,9,z,more"))
    write(places, "tsv", "a.csv", Seq("1;2,5;01/02/2024;NA", "3;4,5;02/03/2024;'q'", "-;NaN;x;\\N"))
    write(
      places,
      "json",
      "a.json",
      Seq(
        """{"a":1,"b":"x","c":[1]}""",
        """{"a":"2","c":null, }""",
        """{"A":3,"b":1.50,"d":"2024-01-02"}""",
        "{bad",
        "{'a':4}"
      )
    )
    write(places, "lines", "a.json", Seq("[{\"a\":1,", "\"b\":2}, {\"a\":3}]"))
    write(places, "text", "a.txt", Seq("one", "two", "", "three;four", "five"))
    write(
      places,
      "xml",
      "a.xml",
      Seq("<rows><row n='1'><a>1</a><b> x </b></row>", "<row n='2'><a>y</a></row><item><a>3</a><b/></item></rows>")
    )
    write(places, "binary", "a.bin", Seq("abc"))
    write(places, "binary", "b.dat", Seq("defg"))
  }

  private def write(places: Places, directory: String, file: String, lines: Seq[String]): Unit = {
    val path = places.root.resolve(directory)
    Files.createDirectories(path)
    Files.writeString(path.resolve(file), lines.mkString("", "\n", "\n")): Unit
  }

  private def catalog(session: SparkSession): Unit = {
    session.sql("create table fuzz.ft using parquet as select a, b, c, s, u, x, y from t")
    session.sql("create table fuzz.ot using orc as select a, b, c, s, u from t")
    session.sql("create table fuzz.ct(a int, b int, s string) using csv")
    session.sql("insert into fuzz.ct values (1, 2, 'x'), (3, 4, 'y')")
    session.sql("create table fuzz.jt using json as select a, b, st from t")
    session.sql("create table fuzz.bt using parquet clustered by (b) into 3 buckets as select a, b, c from wide")
    session.sql("create table fuzz.pt using parquet partitioned by (p) as select a, b, c, s, a % 3 as p from t")
    session.sql("create or replace view fuzz.pv as select a, b + c as bc from fuzz.ft where a > 1"): Unit
  }
}
