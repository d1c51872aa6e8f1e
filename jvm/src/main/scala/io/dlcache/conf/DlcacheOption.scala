package io.dlcache.conf

import io.dlcache.shard.{FloatDtype, ShardOptions}

/** One option of `format("dlcache")`. Names are matched without regard to case, as everywhere in Spark.
  *
  * @param values what may be given, for people
  * @param default what holds if nothing is given, for people
  * @param onWrite whether `df.write` takes it
  * @param onRead whether `spark.read` takes it
  */
final private[dlcache] case class DlcacheOption(
    name: String,
    values: String,
    default: String,
    meaning: String,
    onWrite: Boolean = true,
    onRead: Boolean = false
) {

  /** The session configuration that sets it for all reads and writes. */
  def sessionConf: String = DlcacheOption.SessionPrefix + name
}

/** The registry of options: docs/configuration.md is this table. */
private[dlcache] object DlcacheOption {

  /** The `keyPrefix` of `SessionConfigSupport`. */
  val KeyPrefix = "dlcache"
  val SessionPrefix = s"spark.datasource.$KeyPrefix."

  val Uncompressed = "uncompressed"
  val SourceDtype = "source"
  val SessionUdf = "session"
  val SourceUdf = "source"
  val Udfs: Seq[String] = Seq(SessionUdf, SourceUdf)
  val RefuseShapes = "error"
  val AllowShapes = "allow"
  val ShapeChanges: Seq[String] = Seq(RefuseShapes, AllowShapes)
  val Dtypes: Seq[String] = SourceDtype +: FloatDtype.all.map(_.name)

  val Path: DlcacheOption = DlcacheOption(
    "path",
    "a path or URI",
    "a directory below `root`, named by the plan key",
    "Where the dataset is. `append` and reads need it.",
    onRead = true
  )
  val Root: DlcacheOption = DlcacheOption(
    "root",
    "a path or URI",
    "`DLCACHE_ROOT` in the environment, else on a local master `$XDG_CACHE_HOME/dlcache` or `~/.cache/dlcache`",
    "Where datasets without a path are kept, each as `<root>/<digest of the plan key>`."
  )
  val Key: DlcacheOption = DlcacheOption(
    "key",
    "a text",
    "the plan's own key",
    "Your own name for what the DataFrame computes. Same key, same rows: dlcache does not look at the plan then."
  )
  val Dtype: DlcacheOption = DlcacheOption(
    "dtype",
    Dtypes.map(quote).mkString(", "),
    quote(SourceDtype),
    "What floating point columns, arrays and vectors are stored as, and decimals delivered as. A number that would be infinite in float32 is an error. Rounded values are counted in the log, rounded whole numbers in a warning. Class numbers of Spark ML are stored as int64."
  )
  val Compression: DlcacheOption = DlcacheOption(
    "compression",
    ShardOptions.compressions.map(quote).mkString(", "),
    quote(Uncompressed),
    "The codec of the Parquet pages. Compressed columns cannot be mapped into memory."
  )
  val TargetShardBytes: DlcacheOption = DlcacheOption(
    "targetShardBytes",
    "bytes, as `134217728` or `128m`",
    "`128m`",
    "A task goes on in a new shard when its shard has this size. Not used with `shards`."
  )
  val RowGroupBytes: DlcacheOption = DlcacheOption(
    "rowGroupBytes",
    "bytes, as `33554432` or `32m`; at most `1g`",
    "`32m`",
    "The size of a row group."
  )
  val Pack: DlcacheOption = DlcacheOption(
    "pack",
    """JSON text of names and the columns that they stand for, as `{"features": ["age", "height"]}`""",
    "each column by itself",
    "Store columns of numbers, all of one type and without nulls, as one tensor column: a row of them is one place to read."
  )
  val Shards: DlcacheOption = DlcacheOption(
    "shards",
    "an integer from 1",
    "the DataFrame's own partitions",
    "Spread the rows evenly over this many shards. The order of the rows is not kept."
  )
  val Shuffle: DlcacheOption = DlcacheOption(
    "shuffle",
    "an integer: the seed",
    "the DataFrame's own order",
    "Spread the rows at random over the shards and within them."
  )
  val Ttl: DlcacheOption = DlcacheOption(
    "ttl",
    "an integer and a unit `s`, `m`, `h`, `d` or `w`, as `7d`",
    "no end",
    "Counted from the write: afterwards the dataset is no hit any more, and `dlcache gc` may delete it."
  )
  val IfAppendedAlready: DlcacheOption = DlcacheOption(
    "ifAppended",
    IfAppended.all.map(how => quote(how.name)).mkString(", "),
    s"${quote(IfAppended.Error.name)}; for tables in SQL ${quote(IfAppended.Append.name)}",
    "What `append` does if the dataset already has the rows of the same plan key, as when a job is run again: fail, leave the dataset as it is, or add them once more."
  )
  val IfShapeChanges: DlcacheOption = DlcacheOption(
    "ifShapeChanges",
    ShapeChanges.map(quote).mkString(", "),
    quote(RefuseShapes),
    "What `append` does if an array column has one shape in all rows of the dataset, and not in the new ones: fail, or `allow` it. Readers then deliver the column as rows of different lengths."
  )
  val Udf: DlcacheOption = DlcacheOption(
    "udf",
    Udfs.map(quote).mkString(", "),
    quote(SessionUdf),
    "How Python UDFs count: `session`, for this Spark application; `source`, by their source in any application (`docs/plan-key.md`). `source` needs `dlcache.cache`."
  )
  val Functions: DlcacheOption = DlcacheOption(
    "functions",
    "JSON text",
    "none",
    "What `dlcache.cache` knows of the plan's Python functions. It sets this itself."
  )
  val Request: DlcacheOption = DlcacheOption(
    "request",
    "a text, for example a UUID",
    "none",
    "A name for this write. A read with the same `request` and no path gives one row that tells how the write went.",
    onRead = true
  )
  val VersionAsOf: DlcacheOption = DlcacheOption(
    "versionAsOf",
    "an integer from 1",
    "the current version",
    "Which version of the dataset to read.",
    onWrite = false,
    onRead = true
  )
  val Version: DlcacheOption = DlcacheOption(
    "version",
    "an integer from 1",
    "the current version",
    "The same as `versionAsOf`.",
    onWrite = false,
    onRead = true
  )
  val TimestampAsOf: DlcacheOption = DlcacheOption(
    "timestampAsOf",
    "a timestamp, as `2026-11-29 12:00:00`, in the session's time zone unless it names one",
    "the current version",
    "Read the version that was current at this time.",
    onWrite = false,
    onRead = true
  )
  val History: DlcacheOption = DlcacheOption(
    "history",
    "`true`, `false`",
    "`false`",
    "Read one row for each version of the dataset, in place of its rows.",
    onWrite = false,
    onRead = true
  )

  val All: Seq[DlcacheOption] =
    Seq(
      Path,
      Root,
      Key,
      Dtype,
      Compression,
      TargetShardBytes,
      RowGroupBytes,
      Pack,
      Shards,
      Shuffle,
      Ttl,
      IfAppendedAlready,
      IfShapeChanges,
      Udf,
      Functions,
      Request,
      VersionAsOf,
      Version,
      TimestampAsOf,
      History
    )

  private def quote(text: String) = s"`$text`"
}
