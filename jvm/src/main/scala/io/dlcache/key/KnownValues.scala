package io.dlcache.key

import io.dlcache.spark.SparkClasses

/** Case classes and objects in the fields of operators and expressions whose own fields are all there is to them: what
  * Spark 4.0 to 4.2 puts there. Another class makes the key hold in its session only.
  */
private[key] object KnownValues {

  def contains(kind: Class[_]): Boolean = {
    val name = kind.getName.stripSuffix("$")
    (names(name) || name.startsWith(Encoders)) && SparkClasses.isSparks(kind) ||
    (name.startsWith("scala.Tuple") || name.startsWith("scala.util.")) && SparkClasses.isScalas(kind)
  }

  private val Catalyst = "org.apache.spark.sql.catalyst."

  /** Of the types of typed functions. */
  private val Encoders = Catalyst + "encoders.AgnosticEncoders$"

  private val names: Set[String] = Seq(
    "analysis." -> "AsOfTimestamp AsOfVersion",
    "encoders." -> "ExpressionEncoder",
    "expressions." -> "Ascending CommonExpressionId Descending NullsFirst NullsLast NumericEvalContext RangeFrame RowFrame",
    "expressions.aggregate." -> "Complete Final Partial PartialMerge",
    "expressions.csv." -> "CsvToStructsEvaluator SchemaOfCsvEvaluator",
    "expressions.json." ->
      "GetJsonObjectEvaluator JsonToStructsEvaluator JsonTupleEvaluator SchemaOfJsonEvaluator StructsToJsonEvaluator",
    "expressions.url." -> "ParseUrlEvaluator",
    "expressions.xml." ->
      """StructsToXmlEvaluator XPathBooleanEvaluator XPathDoubleEvaluator XPathFloatEvaluator XPathIntEvaluator
        |XPathListEvaluator XPathLongEvaluator XPathShortEvaluator XPathStringEvaluator XmlToStructsEvaluator""",
    "plans." -> "Cross ExistenceJoin FullOuter Inner LeftAnti LeftOuter LeftSemi LeftSingle RightOuter",
    "plans.logical." -> "SampleMethod$Bernoulli SampleMethod$System"
  ).flatMap { case (inside, listed) => listed.stripMargin.split("\\s+").map(Catalyst + inside + _) }.toSet
}
