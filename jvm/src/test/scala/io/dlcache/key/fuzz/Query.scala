package io.dlcache.key.fuzz

import org.apache.spark.sql.{DataFrame, SparkSession}

/** One query of the corpus.
  *
  * @param name the SQL text, or what the DataFrame is
  * @param build makes it anew, so that every key comes from a fresh analysis
  * @param variants the same query with one parameter of its construction changed, by name
  * @param optional whether Spark may be unable to analyze it
  */
final private[fuzz] case class Query(
    name: String,
    build: SparkSession => DataFrame,
    variants: Seq[(String, SparkSession => DataFrame)] = Nil,
    optional: Boolean = false
)

private[fuzz] object Query {

  /** A query of SQL, whose variants change one word of its text. */
  def sql(text: String): Query = {
    val flat = text.linesIterator.map(_.trim).mkString(" ")
    Query(
      flat,
      _.sql(flat),
      SqlVariants.of(flat).map { case (what, other) => what -> ((s: SparkSession) => s.sql(other)) }
    )
  }

  /** A DataFrame whose construction takes one parameter, and other values for it. */
  def of[A](name: String, value: A, others: A*)(build: (SparkSession, A) => DataFrame): Query =
    Query(
      s"$name($value)",
      build(_, value),
      others.map(other => s"$value -> $other" -> ((session: SparkSession) => build(session, other)))
    )

  def frame(name: String)(build: SparkSession => DataFrame): Query = Query(name, build)
}

/** One word of a SQL text changed. */
private[fuzz] object SqlVariants {

  /** Words that may stand for each other. */
  private val Groups: Seq[Seq[String]] = Seq(
    Seq("a", "b", "c"),
    Seq("x", "y"),
    Seq("s", "u"),
    Seq("arr", "brr"),
    Seq("t.a", "t.b", "t.c"),
    Seq("r.a", "r.b", "r.k"),
    Seq("ASC", "DESC"),
    Seq("min", "max", "sum", "count", "avg"),
    Seq("LEFT", "RIGHT", "FULL"),
    Seq("SEMI", "ANTI"),
    Seq("ROWS", "RANGE"),
    Seq("UNION", "EXCEPT", "INTERSECT"),
    Seq("rollup", "cube"),
    Seq("AND", "OR"),
    Seq("EXISTS", "NOT EXISTS"),
    Seq("IN", "NOT IN"),
    Seq("rank", "dense_rank", "row_number"),
    Seq("PRECEDING", "FOLLOWING"),
    Seq("DISTINCT", "ALL")
  )

  private val Token = "[A-Za-z_][A-Za-z_0-9.]*|[0-9]+".r

  def of(text: String): Seq[(String, String)] =
    for {
      token <- Token.findAllMatchIn(text).toSeq
      word = token.matched
      other <- if (word.head.isDigit) numbers(word) else Groups.filter(_.contains(word)).flatMap(_.filter(_ != word))
    } yield s"$word -> $other at ${token.start}" -> (text.take(token.start) + other + text.drop(token.end))

  private def numbers(word: String): Seq[String] = word.toIntOption.toSeq.flatMap(n => Seq(n + 1, n - 1).filter(_ >= 0))
    .map(_.toString)
}
