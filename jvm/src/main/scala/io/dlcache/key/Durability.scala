package io.dlcache.key

/** Why a key holds only within its Spark application. All reasons of a plan are collected.
  *
  * @param code for programs: one of the constants below
  * @param message for people: names the thing
  */
final private[dlcache] case class Reason(code: String, message: String)

private[dlcache] object Reason {

  /** What is told of an input or value that changes without a trace. */
  private val NeverAHit = "so this DataFrame is never a hit. Give key= (option \"key\") to name its rows yourself"

  def rdd(description: String): Reason = Reason("rdd", s"rows come from an RDD: $description")
  def scalaUdf(name: String): Reason = Reason("scala-udf", s"Scala or Java UDF `$name`")
  def pythonUdf(name: String, why: Option[String] = None): Reason =
    Reason("python-udf", s"Python UDF `$name`${why.fold("")(text => s": $text")}")
  def untraceablePythonUdf(name: String, why: String): Reason =
    Reason("python-udf", s"Python UDF `$name`: $why, $NeverAHit")
  def hiveUdf(name: String): Reason = Reason("hive-udf", s"Hive UDF `$name`")
  def typedLambda(node: String): Reason = Reason("typed-lambda", s"typed function in $node")
  def unseeded(what: String): Reason = Reason("unseeded-randomness", s"$what has no seed")
  def partitioning(what: String): Reason =
    Reason("partitioning", s"$what depends on how the rows are spread over partitions")
  def clock(what: String): Reason = Reason("clock", s"$what depends on the time, $NeverAHit")
  def persistedSettings: Reason =
    Reason("persisted", "persisted rows were made under settings that differ from those of now, or that are not known")
  def persistedClock: Reason = Reason("clock", "persisted rows depend on the time at which they were persisted")
  def sessionState(what: String): Reason = Reason("session-state", s"$what depends on the session, $NeverAHit")
  def nondeterministic(what: String): Reason = Reason("nondeterministic", s"$what is not deterministic, $NeverAHit")
  def unversioned(what: String): Reason =
    Reason("unversioned-input", s"$what: nothing tells when its rows change, $NeverAHit")
  def largeLocalData(bytes: Long): Reason =
    Reason("large-local-data", s"local rows of more than $bytes bytes are not hashed")
  def unresolved(owner: String, column: String): Reason =
    Reason("unresolved-reference", s"$owner refers to `$column`, which none of its inputs has")
  def unknownNode(kind: String): Reason = Reason("unknown-node", s"$kind is not known to dlcache")
  def unknownValue(owner: String, kind: String): Reason =
    Reason("unknown-value", s"$owner holds a $kind, which is not known to dlcache")
}
