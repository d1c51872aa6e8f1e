package io.dlcache.key.fuzz

import org.apache.spark.sql.{DataFrame, SparkSession}

/** Files of every format, with every option that their readers know. */
private[fuzz] object FileQueries {

  def of(places: Tables.Places): Seq[Query] = csv(places) ++ json(places) ++ others(places) ++ xml(places) ++
    columnar(places) ++ metadata(places)

  /** A read with options, whose variants change one of them. */
  private def read(
      format: String,
      path: String,
      schema: String,
      options: Map[String, String],
      others: (String, String)*
  )(
      query: DataFrame => DataFrame
  ): Query = {
    def build(options: Map[String, String], schema: String)(session: SparkSession) = {
      val reader = session.read.format(format).options(options)
      query((if (schema.isEmpty) reader else reader.schema(schema)).load(path))
    }
    val changed = others.map { case (name, value) => options + (name -> value) } ++ options.keys.map(options - _)
    Query(
      s"$format ${path.split('/').last} $options $schema",
      build(options, schema),
      changed.map(other => s"$options -> $other" -> build(other, schema) _)
    )
  }

  private def csv(places: Tables.Places): Seq[Query] = {
    val options = Seq(
      "header" -> "true",
      "sep" -> ";",
      "delimiter" -> " ",
      "comment" -> "#",
      "mode" -> "DROPMALFORMED",
      "mode" -> "PERMISSIVE",
      "nullValue" -> "two, 2",
      "emptyValue" -> "E",
      "ignoreLeadingWhiteSpace" -> "true",
      "ignoreTrailingWhiteSpace" -> "true",
      "quote" -> "'",
      "escape" -> "t",
      "multiLine" -> "true",
      "maxColumns" -> "3",
      "maxCharsPerColumn" -> "9",
      "encoding" -> "UTF-16",
      "lineSep" -> ",",
      "enforceSchema" -> "false",
      "columnNameOfCorruptRecord" -> "bad",
      "unescapedQuoteHandling" -> "RAISE_ERROR",
      "pathGlobFilter" -> "*.json",
      "recursiveFileLookup" -> "true",
      "modifiedBefore" -> "2001-01-01T00:00:00",
      "modifiedAfter" -> "2001-01-01T00:00:00",
      "samplingRatio" -> "0.5",
      "charToEscapeQuoteEscaping" -> "u",
      "singleVariantColumn" -> "v"
    )
    val formats = Seq(
      "nanValue" -> "-",
      "locale" -> "de-DE",
      "dateFormat" -> "dd/MM/yyyy",
      "timestampFormat" -> "MM/dd/yyyy",
      "positiveInf" -> "3",
      "negativeInf" -> "1",
      "nullValue" -> "-",
      "quote" -> "'",
      "timeZone" -> "Asia/Kolkata",
      "preferDate" -> "true",
      "enableDateTimeParsingFallback" -> "true"
    )
    Seq(
      read("csv", places.of("csv"), "a int, b int, s string", Map.empty, options: _*)(identity),
      read("csv", places.of("csv"), "a int, b int, s string", Map("header" -> "true"), options: _*)(identity),
      read(
        "csv",
        places.of("csv"),
        "a int, b int, s string, bad string",
        Map("columnNameOfCorruptRecord" -> "bad"),
        options: _*
      )(
        identity
      ),
      read("csv", places.of("csv"), "", Map("header" -> "true"), options :+ ("inferSchema" -> "true"): _*)(identity),
      read("csv", places.of("csv"), "", Map("inferSchema" -> "true"), options: _*)(identity),
      read("csv", places.of("csv"), "a int, b int, s string", Map("header" -> "true"), options: _*)(_.select("a")),
      read(
        "csv",
        places.of("tsv"),
        "a int, x double, d date, s string",
        Map("sep" -> ";", "dateFormat" -> "MM/dd/yyyy"),
        formats: _*
      )(
        identity
      ),
      read(
        "csv",
        places.of("tsv"),
        "a string, x float, d timestamp, s string",
        Map("sep" -> ";", "timestampFormat" -> "dd/MM/yyyy"),
        formats: _*
      )(
        identity
      )
    )
  }

  private def json(places: Tables.Places): Seq[Query] = {
    val options = Seq(
      "mode" -> "DROPMALFORMED",
      "multiLine" -> "true",
      "allowSingleQuotes" -> "false",
      "allowUnquotedFieldNames" -> "true",
      "allowNumericLeadingZeros" -> "true",
      "primitivesAsString" -> "true",
      "prefersDecimal" -> "true",
      "dropFieldIfAllNull" -> "true",
      "columnNameOfCorruptRecord" -> "bad",
      "dateFormat" -> "yyyy-dd-MM",
      "timestampFormat" -> "yyyy-dd-MM",
      "inferTimestamp" -> "true",
      "encoding" -> "UTF-8",
      "lineSep" -> "}",
      "samplingRatio" -> "0.5",
      "allowComments" -> "true",
      "allowNonNumericNumbers" -> "false",
      "allowBackslashEscapingAnyCharacter" -> "true",
      "allowUnquotedControlChars" -> "true",
      "locale" -> "de-DE",
      "timeZone" -> "Asia/Kolkata",
      "pathGlobFilter" -> "*.csv",
      "singleVariantColumn" -> "v",
      "useUnsafeRow" -> "true"
    )
    Seq(
      read("json", places.of("lines"), "", Map.empty, options: _*)(identity),
      read("json", places.of("json"), "a int, b string, d date", Map.empty, options: _*)(identity),
      read(
        "json",
        places.of("json"),
        "a int, b string, bad string",
        Map("columnNameOfCorruptRecord" -> "bad"),
        options: _*
      )(identity),
      read(
        "json",
        places.of("json"),
        "a string, c array<int>, d timestamp",
        Map("mode" -> "PERMISSIVE"),
        options: _*
      )(identity),
      read("json", places.of("lines"), "", Map("multiLine" -> "true"), options: _*)(identity),
      read("json", places.of("lines"), "a int, b int", Map("multiLine" -> "true"), options: _*)(identity)
    )
  }

  private def others(places: Tables.Places): Seq[Query] = {
    val text = Seq("wholetext" -> "true", "lineSep" -> ";", "encoding" -> "UTF-16", "pathGlobFilter" -> "*.csv")
    val binary =
      Seq("pathGlobFilter" -> "*.bin", "recursiveFileLookup" -> "true", "modifiedAfter" -> "2100-01-01T00:00:00")
    Seq(
      read("text", places.of("text"), "", Map.empty, text: _*)(identity),
      read("text", places.of("text"), "", Map("lineSep" -> "e"), text: _*)(_.selectExpr("upper(value) as s")),
      read("binaryFile", places.of("binary"), "", Map.empty, binary: _*)(_.select("length", "content")),
      read("binaryFile", places.of("binary"), "", Map("pathGlobFilter" -> "*.dat"), binary: _*)(_.drop("path"))
    )
  }

  private def xml(places: Tables.Places): Seq[Query] = {
    val options = Seq(
      "rowTag" -> "item",
      "attributePrefix" -> "at_",
      "valueTag" -> "val",
      "excludeAttribute" -> "true",
      "ignoreSurroundingSpaces" -> "false",
      "mode" -> "DROPMALFORMED",
      "nullValue" -> "y",
      "columnNameOfCorruptRecord" -> "bad",
      "inferSchema" -> "false",
      "samplingRatio" -> "0.5",
      "charset" -> "UTF-16",
      "ignoreNamespace" -> "true",
      "wildcardColName" -> "any",
      "locale" -> "de-DE"
    )
    Seq(
      read("xml", places.of("xml"), "", Map("rowTag" -> "row"), options: _*)(identity),
      read("xml", places.of("xml"), "a string, b string, _n int", Map("rowTag" -> "row"), options: _*)(identity),
      read("xml", places.of("xml"), "a int, b string, bad string", Map("rowTag" -> "item"), options: _*)(identity)
    )
  }

  private def columnar(places: Tables.Places): Seq[Query] = {
    val options = Seq(
      "mergeSchema" -> "true",
      "datetimeRebaseMode" -> "LEGACY",
      "int96RebaseMode" -> "LEGACY",
      "pathGlobFilter" -> "part-00000*",
      "recursiveFileLookup" -> "true",
      "basePath" -> "/",
      "modifiedBefore" -> "2001-01-01T00:00:00",
      "ignoreMissingFiles" -> "true",
      "ignoreCorruptFiles" -> "true"
    )
    for (format <- Seq("parquet", "orc"); schema <- Seq("", "a int, s string", "s string, b long, nothing int"))
      yield read(format, places.of(format), schema, Map.empty, options: _*)(identity)
  } ++ Seq(
    read("parquet", places.of("parts"), "", Map.empty, "pathGlobFilter" -> "part-00001*", "mergeSchema" -> "true")(
      _.filter("b > 2")
    ),
    read("parquet", places.of("partitioned"), "", Map.empty, "recursiveFileLookup" -> "true", "pathGlobFilter" -> "x*")(
      _.filter("p = 1")
    ),
    read("parquet", places.of("partitioned"), "a int, p string, q string", Map.empty, "recursiveFileLookup" -> "true")(
      identity
    )
  )

  private def metadata(places: Tables.Places): Seq[Query] = {
    def parts(session: SparkSession) = session.read.parquet(places.of("parts"))
    val names = Seq("file_path", "file_name", "file_size", "file_block_start", "file_block_length", "row_index")
    names.map(name =>
      Query.frame(s"metadata $name")(parts(_).selectExpr("a", s"_metadata.$name as m"))
    ) ++ Seq(
      Query.frame("all metadata")(parts(_).selectExpr("a", "_metadata")),
      Query.frame("metadata in a condition")(parts(_).filter("_metadata.row_index > 3").select("a", "b")),
      Query.frame("metadata and partitions")(
        _.read.parquet(places.of("partitioned")).selectExpr("a", "p", "_metadata.row_index + b as m")
      )
    )
  }
}
