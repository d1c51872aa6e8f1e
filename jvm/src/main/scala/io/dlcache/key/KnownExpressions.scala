package io.dlcache.key

import io.dlcache.spark.SparkClasses

/** The expressions that the encoding of plans understands, by class: their fields are all there is to them, and their
  * value follows from the values of their children, but for those that [[ExpressionEncoder]] gives a reason for.
  *
  * The list has what Spark 4.0 to 4.2 can put into an analyzed plan. An expression that is not on it makes the key hold
  * in its session only, also one that a later version of Spark adds.
  */
private[key] object KnownExpressions {
  private val Package = "org.apache.spark.sql.catalyst.expressions."

  def contains(kind: Class[_]): Boolean = names(kind.getName) && SparkClasses.isSparks(kind)

  /** References, their binders, and those that stand for another expression. */
  private val Bindings =
    """Alias AttributeReference CommonExpressionDef CommonExpressionRef LambdaFunction Literal NamedLambdaVariable
      |OuterReference OuterScopeReference VariableReference With"""

  /** Values of the moment and of the session: [[CurrentValues]]. */
  private val Current =
    """CurrentBatchTimestamp CurrentCatalog CurrentDatabase CurrentDate CurrentPath CurrentTime CurrentTimeZone
      |CurrentTimestamp CurrentUser LocalTimestamp Now SparkVersion"""

  /** Their rows depend on partitions, or on code of users. */
  private val Explained =
    """CallMethodViaReflection InputFileBlockLength InputFileBlockStart InputFileName MonotonicallyIncreasingID
      |PythonUDAF PythonUDF PythonUDTF Rand RandStr Randn ScalaUDF Shuffle SparkPartitionID TryReflect Uniform Uuid"""

  private val Functions =
    """Abs Acos Acosh Add AddMonths AesDecrypt AesEncrypt And ApproxTopKEstimate ArrayAggregate ArrayAppend
      |ArrayBinarySearch ArrayCompact ArrayContains ArrayDistinct ArrayExcept ArrayExists ArrayFilter ArrayForAll
      |ArrayInsert ArrayIntersect ArrayJoin ArrayMax ArrayMin ArrayPosition ArrayPrepend ArrayRemove ArrayRepeat
      |ArraySize ArraySort ArrayTransform ArrayUnion ArraysOverlap ArraysZip Ascii Asin Asinh AssertTrue
      |AtLeastNNonNulls Atan Atan2 Atanh BRound Base64 Between Bin BinaryPad BinaryPredicate BitLength BitmapAndAgg
      |BitmapBitPosition BitmapBucketNumber BitmapConstructAgg BitmapCount BitmapOrAgg BitwiseAnd BitwiseCount
      |BitwiseGet BitwiseNot BitwiseOr BitwiseXor BoundReference CaseWhen Cast CastTimestampNTZToLong Cbrt Ceil
      |CheckOverflow CheckOverflowInSum CheckOverflowInTableInsert Chr Coalesce Collate Collation
      |CollationAwareMurmur3Hash CollationAwareXxHash64 CollationKey Collations Concat ConcatWs Contains Conv
      |ConvertTimezone Cos Cosh Cot Crc32 CreateArray CreateMap CreateNamedStruct Csc CsvToStructs CumeDist
      |CurrentRow$ DateAdd DateAddInterval DateAddYMInterval DateDiff DateFormatClass DateFromUnixDate DateSub
      |DatetimeSub DayName DayOfMonth DayOfWeek DayOfYear DecimalAddNoOverflowCheck DecimalDivideWithOverflowCheck
      |Decode DenseRank Divide DivideDTInterval DivideInterval DivideYMInterval DropField EWM ElementAt Elt
      |Empty2Null Encode EndsWith EqualNull EqualNullSafe EqualTo EulerNumber Exists Exp Explode Expm1 Extract
      |ExtractANSIIntervalDays ExtractANSIIntervalHours ExtractANSIIntervalMinutes ExtractANSIIntervalMonths
      |ExtractANSIIntervalSeconds ExtractANSIIntervalYears ExtractIntervalDays ExtractIntervalHours
      |ExtractIntervalMinutes ExtractIntervalMonths ExtractIntervalSeconds ExtractIntervalYears Factorial FindInSet
      |Flatten Floor FormatNumber FormatString FromUTCTimestamp FromUnixTime
      |FunctionTableSubqueryArgumentExpression GeneratorOuter Get GetArrayItem GetArrayStructFields GetJsonObject
      |GetMapValue GetStructField GetTimestamp GreaterThan GreaterThanOrEqual Greatest Grouping GroupingID Hex
      |HiveHash HllSketchEstimate HllUnion Hour HoursOfTime Hypot ILike If In InSubquery InitCap Inline
      |IntegralDivide IsNaN IsNotNull IsNotUnknown$$anon$2 IsNull IsUnknown$$anon$1 IsValidUTF8 JsonObjectKeys
      |JsonToStructs JsonTuple KllSketchGetNBigint KllSketchGetNDouble KllSketchGetNFloat
      |KllSketchGetQuantileBigint KllSketchGetQuantileDouble KllSketchGetQuantileFloat KllSketchGetRankBigint
      |KllSketchGetRankDouble KllSketchGetRankFloat KllSketchMergeBigint KllSketchMergeDouble KllSketchMergeFloat
      |KllSketchToStringBigint KllSketchToStringDouble KllSketchToStringFloat KnownNotContainsNull KnownNotNull
      |KnownNullable Lag LastDay LateralSubquery Lead Least Left Length LengthOfJsonArray LessThan LessThanOrEqual
      |Levenshtein Like LikeAll LikeAny ListQuery Log Log10 Log1p Log2 Logarithm Lower Luhncheck MakeDTInterval
      |MakeDate MakeDecimal MakeInterval MakeTime MakeTimestamp MakeTimestampFromDateTime MakeTimestampNTZ
      |MakeValidUTF8 MakeYMInterval MapConcat MapContainsKey MapEntries MapFilter MapFromArrays MapFromEntries
      |MapKeys MapSort MapValues MapZipWith Mask Md5 MicrosToTimestamp MillisToTimestamp Minute MinutesOfTime Month
      |MonthName MonthsBetween Multiply MultiplyDTInterval MultiplyInterval MultiplyYMInterval Murmur3Hash NTile
      |NaNvl NextDay Not NotLikeAll NotLikeAny NthValue NullIf NullIfZero NullIndex Nvl Nvl2 OctetLength Or Overlay
      |ParseToDate ParseToTimestamp ParseUrl PercentRank Pi Pmod PosExplode Pow PreciseTimestampConversion Quarter
      |Quote RLike RaiseError Rank RegExpCount RegExpExtract RegExpExtractAll RegExpInStr RegExpReplace
      |RegExpSubStr Remainder ResolvedCollation Reverse Right Rint Round RoundCeil RoundFloor RowNumber SQLKeywords
      |ScalarSubquery SchemaOfCsv SchemaOfJson SchemaOfXml Sec Second SecondWithFraction SecondsOfTime
      |SecondsOfTimeWithFraction SecondsToTimestamp Sentences Sequence SessionWindow Sha1 Sha2 ShiftLeft ShiftRight
      |ShiftRightUnsigned Signum Sin Sinh Size Slice SortArray SortOrder SoundEx SpecifiedWindowFrame SplitPart
      |Sqrt Stack StartsWith StringDecode StringInstr StringLPad StringLocate StringRPad StringRepeat StringReplace
      |StringSpace StringSplit StringSplitSQL StringToMap StringTranslate StringTrim StringTrimBoth StringTrimLeft
      |StringTrimRight StructsToCsv StructsToJson StructsToXml Substring SubstringIndex Subtract SubtractDates
      |SubtractTimes SubtractTimestamps Tan Tanh ThetaDifference ThetaIntersection ThetaSketchEstimate ThetaUnion
      |TimeAdd TimeAddInterval TimeBucket TimeDiff TimeFromMicros TimeFromMillis TimeFromSeconds TimeToMicros
      |TimeToMillis TimeToSeconds TimeTrunc TimeWindow TimestampAdd TimestampAddInterval TimestampAddYMInterval
      |TimestampDiff ToBinary ToCharacter ToDegrees ToJavaArray ToNumber ToPrettyString ToRadians ToTime
      |ToUTCTimestamp ToUnixTimestamp TransformKeys TransformValues TruncDate TruncTimestamp TryAdd TryAesDecrypt
      |TryDivide TryElementAt TryEval TryMakeInterval TryMakeTimestamp TryMakeTimestampFromDateTime TryMod
      |TryMultiply TryParseUrl TrySubtract TryToBinary TryToNumber TryUrlDecode TryValidateUTF8
      |TupleDifferenceDouble TupleDifferenceInteger TupleDifferenceThetaDouble TupleDifferenceThetaInteger
      |TupleIntersectionDouble TupleIntersectionInteger TupleIntersectionThetaDouble TupleIntersectionThetaInteger
      |TupleSketchEstimateDouble TupleSketchEstimateInteger TupleSketchSummaryDouble TupleSketchSummaryInteger
      |TupleSketchThetaDouble TupleSketchThetaInteger TupleUnionDouble TupleUnionInteger TupleUnionThetaDouble
      |TupleUnionThetaInteger TypeOf TypedNullLiteral UnBase64 UnaryMinus UnaryPositive UnboundedFollowing$ UnboundedPreceding$
      |Unhex UnixDate UnixMicros UnixMillis UnixSeconds UnixTimestamp UnscaledValue UnspecifiedFrame$ UpCast
      |UpdateFields Upper UrlDecode UrlEncode ValidateUTF8 VectorAvg VectorCosineSimilarity VectorInnerProduct
      |VectorL2Distance VectorNorm VectorNormalize VectorSum WeekDay WeekOfYear WidthBucket WindowExpression
      |WindowSpecDefinition WindowTime WithField XmlToStructs XxHash64 Year YearOfWeek ZeroIfNull ZipWith"""

  private val Aggregates =
    """AggregateExpression AnyValue ApproxCountDistinctForIntervals ApproxTopK ApproxTopKAccumulate
      |ApproxTopKCombine ApproximatePercentile Average BitAndAgg BitOrAgg BitXorAgg BoolAnd BoolOr CollectList
      |CollectSet CollectTopK Corr Count CountIf CountMinSketchAgg CovPopulation CovSample First HistogramNumeric
      |HllSketchAgg HllUnionAgg HyperLogLogPlusPlus KllMergeAggBigint KllMergeAggDouble KllMergeAggFloat
      |KllSketchAggBigint KllSketchAggDouble KllSketchAggFloat Kurtosis Last ListAgg Max MaxBy MaxMinByK Median Min
      |MinBy Mode PandasCovar PandasKurtosis PandasMode PandasProduct PandasSkewness PandasStddev PandasVariance
      |Percentile PercentileCont PercentileDisc PivotFirst Product RegrAvgX RegrAvgY RegrCount RegrIntercept RegrR2
      |RegrReplacement RegrSXX RegrSXY RegrSYY RegrSlope Skewness StddevPop StddevSamp Sum ThetaIntersectionAgg
      |ThetaSketchAgg ThetaUnionAgg TupleIntersectionAggDouble TupleIntersectionAggInteger TupleSketchAggDouble
      |TupleSketchAggInteger TupleUnionAggDouble TupleUnionAggInteger VariancePop VarianceSamp"""

  private val Objects =
    """AssertNotNull CatalystToExternalMap CreateExternalRow DecodeUsingSerializer EncodeUsingSerializer
      |ExternalMapToCatalyst GetExternalRowField InitializeJavaBean Invoke LambdaVariable MapObjects NewInstance
      |StaticInvoke UnwrapOption ValidateExternalType WrapOption"""

  private val Geometry =
    """ST_AsBinary ST_GeogFromWKB ST_GeomFromWKB ST_SetSrid ST_Srid"""

  private val Variants =
    """IsValidVariant IsVariantNull ParseJson SchemaOfVariant SchemaOfVariantAgg ToVariantObject VariantExplode
      |VariantGet"""

  private val XPaths =
    """XPathBoolean XPathDouble XPathFloat XPathInt XPathList XPathLong XPathShort XPathString"""

  private val names: Set[String] = Seq(
    "" -> Bindings,
    "" -> Current,
    "" -> Explained,
    "" -> Functions,
    "aggregate." -> Aggregates,
    "objects." -> Objects,
    "st." -> Geometry,
    "variant." -> Variants,
    "xml." -> XPaths
  ).flatMap { case (inside, listed) => listed.stripMargin.split("\\s+").map(Package + inside + _) }.toSet +
    // The fields of a SQL function's call, which is its body.
    "org.apache.spark.sql.catalyst.analysis.SQLScalarFunction"
}
