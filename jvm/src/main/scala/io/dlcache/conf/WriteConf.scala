package io.dlcache.conf

import io.dlcache.error.DlcacheErrors
import io.dlcache.key.PythonSources
import io.dlcache.shard.{FloatDtype, Pack, ShardOptions}

/** What a write was asked for, resolved: option > session configuration > default. It stays on the driver.
  *
  * @param path of the dataset; none for one that is kept under the root
  * @param root as given by option or session configuration: see [[Root]]
  * @param key the user's own identity for the plan
  * @param dtype none keeps the source's
  * @param packs columns to store as one, in the order of their names
  * @param shards how many, exactly
  * @param shuffle the seed
  * @param ttlSeconds after the write
  * @param python what Python knows of the plan's functions, and how they count
  * @param request under which the outcome is kept for the client
  * @param hadoop settings of Hadoop for this write: credentials and endpoints, which are no part of the key
  * @param ifAppended what an append does if its rows are there already
  * @param allowsShapes whether an append may end the one shape that the rows of an array column have
  */
final private[dlcache] case class WriteConf(
    path: Option[String],
    root: Option[String],
    key: Option[String],
    dtype: Option[FloatDtype],
    compression: String,
    targetShardBytes: Long,
    rowGroupBytes: Long,
    packs: Seq[Pack],
    shards: Option[Int],
    shuffle: Option[Long],
    ttlSeconds: Option[Long],
    python: PythonSources,
    request: Option[String],
    hadoop: Map[String, String] = Map.empty,
    ifAppended: IfAppended = IfAppended.Error,
    allowsShapes: Boolean = false
) {

  /** The options that change bytes, in one spelling: they are part of the plan key. `targetShardBytes` has no effect
    * beside `shards`, so it is not one of them then.
    */
  def writeOptions: Map[String, String] =
    Map(
      DlcacheOption.Dtype.name -> dtype.fold(DlcacheOption.SourceDtype)(_.name),
      DlcacheOption.Compression.name -> compression,
      DlcacheOption.RowGroupBytes.name -> rowGroupBytes.toString
    ) ++
      (if (packs.isEmpty) None else Some(DlcacheOption.Pack.name -> PackOption.text(packs))) ++
      (if (shards.isEmpty) Some(DlcacheOption.TargetShardBytes.name -> targetShardBytes.toString) else None) ++
      shards.map(DlcacheOption.Shards.name -> _.toString) ++
      shuffle.map(DlcacheOption.Shuffle.name -> _.toString)
}

private[dlcache] object WriteConf {
  private val DefaultTargetShardBytes = 128L << 20
  private val DefaultRowGroupBytes = 32L << 20

  /** `partitionBy` and `clusterBy` reach a data source as options of these names. */
  private val Partitioning = Map("__partition_columns" -> "partitionBy", "__clustering_columns" -> "clusterBy")

  /** @param options of the write, names in any case
    * @param session all of the session's configuration
    * @param ifAppended if neither says it
    */
  def of(
      options: Map[String, String],
      session: Map[String, String],
      ifAppended: IfAppended = IfAppended.Error
  ): WriteConf = {
    options.keys.flatMap(Partitioning.get).foreach(method => throw DlcacheErrors.partitioningUnsupported(method))
    val parser = new OptionParser(options, session)
    parser.refuseUnknown(DlcacheOption.All.filter(_.onWrite))
    WriteConf(
      path = parser.text(DlcacheOption.Path),
      root = parser.text(DlcacheOption.Root),
      key = parser.text(DlcacheOption.Key),
      dtype = parser.oneOf(DlcacheOption.Dtype, DlcacheOption.Dtypes).flatMap(FloatDtype.named),
      compression =
        parser.oneOf(DlcacheOption.Compression, ShardOptions.compressions).getOrElse(DlcacheOption.Uncompressed),
      targetShardBytes = parser.bytes(DlcacheOption.TargetShardBytes).getOrElse(DefaultTargetShardBytes),
      rowGroupBytes =
        parser.bytes(DlcacheOption.RowGroupBytes, max = ShardOptions.MaxRowGroupBytes).getOrElse(DefaultRowGroupBytes),
      packs = parser.parsed(DlcacheOption.Pack)(PackOption.parse).getOrElse(Nil),
      shards = parser.positiveInt(DlcacheOption.Shards),
      shuffle = parser.integer(DlcacheOption.Shuffle),
      ttlSeconds = parser.seconds(DlcacheOption.Ttl),
      python = PythonSources(
        parser.parsed(DlcacheOption.Functions)(PythonSources.parse).getOrElse(Map.empty),
        durable = parser.oneOf(DlcacheOption.Udf, DlcacheOption.Udfs).contains(DlcacheOption.SourceUdf)
      ),
      request = parser.text(DlcacheOption.Request),
      hadoop = HadoopOptions.of(options),
      ifAppended = parser
        .parsed(DlcacheOption.IfAppendedAlready)(text => IfAppended.all.find(_.name.equalsIgnoreCase(text.trim)))
        .getOrElse(ifAppended),
      allowsShapes = parser
        .oneOf(DlcacheOption.IfShapeChanges, DlcacheOption.ShapeChanges)
        .contains(DlcacheOption.AllowShapes)
    )
  }
}
