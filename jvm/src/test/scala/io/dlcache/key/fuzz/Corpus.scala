package io.dlcache.key.fuzz

/** The queries that the fuzzer changes, by theme. */
private[fuzz] object Corpus {

  def of(places: Tables.Places): Seq[Query] =
    RelationalQueries.all ++ SubqueryQueries.all ++ ExpressionQueries.all ++ FileQueries.of(places) ++
      SourceQueries.of(places) ++ DataFrameQueries.all ++ PlacementQueries.of(places)

  /** One query for each statement of a text, which semicolons separate. */
  def statements(text: String): Seq[Query] = text.split(";\\s*\n").toSeq.map(_.trim).filter(_.nonEmpty).map(Query.sql)
}
