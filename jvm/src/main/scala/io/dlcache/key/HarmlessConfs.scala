package io.dlcache.key

/** The SQL configurations that a key may ignore, with the reason. Whatever is not here counts: a configuration that is
  * missing costs a miss. They all count again for rows that depend on how they are spread over partitions.
  */
private[key] object HarmlessConfs {

  /** How rows are spread over partitions, and which kind of join or exchange moves them. */
  private val partitioning = Set(
    "spark.sql.adaptive.advisoryPartitionSizeInBytes",
    "spark.sql.adaptive.applyFinalStageShuffleOptimizations",
    "spark.sql.adaptive.autoBroadcastJoinThreshold",
    "spark.sql.adaptive.coalescePartitions.enabled",
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum",
    "spark.sql.adaptive.coalescePartitions.minPartitionNum",
    "spark.sql.adaptive.coalescePartitions.minPartitionSize",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst",
    "spark.sql.adaptive.enabled",
    "spark.sql.adaptive.fetchShuffleBlocksInBatch",
    "spark.sql.adaptive.forceApply",
    "spark.sql.adaptive.forceOptimizeSkewedJoin",
    "spark.sql.adaptive.localShuffleReader.enabled",
    "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold",
    "spark.sql.adaptive.nonEmptyPartitionRatioForBroadcastJoin",
    "spark.sql.adaptive.optimizeSkewsInRebalancePartitions.enabled",
    "spark.sql.adaptive.rebalancePartitionsSmallPartitionFactor",
    "spark.sql.adaptive.shuffle.targetPostShuffleInputSize",
    "spark.sql.adaptive.skewJoin.enabled",
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor",
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes",
    "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.bucketing.coalesceBucketsInJoin.enabled",
    "spark.sql.bucketing.coalesceBucketsInJoin.maxBucketRatio",
    "spark.sql.cbo.enabled",
    "spark.sql.cbo.joinReorder.enabled",
    "spark.sql.cbo.planStats.enabled",
    "spark.sql.cbo.starSchemaDetection",
    "spark.sql.defaultSizeInBytes",
    "spark.sql.exchange.reuse",
    "spark.sql.execution.rangeExchange.sampleSizePerPartition",
    "spark.sql.execution.reuseSubquery",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.files.maxPartitionNum",
    "spark.sql.files.minPartitionNum",
    "spark.sql.files.openCostInBytes",
    "spark.sql.join.preferSortMergeJoin",
    "spark.sql.leafNodeDefaultParallelism",
    "spark.sql.limit.initialNumPartitions",
    "spark.sql.limit.scaleUpFactor",
    "spark.sql.maxBroadcastTableSize",
    "spark.sql.maxSinglePartitionBytes",
    "spark.sql.optimizer.dynamicPartitionPruning.enabled",
    "spark.sql.optimizer.dynamicPartitionPruning.fallbackFilterRatio",
    "spark.sql.optimizer.dynamicPartitionPruning.reuseBroadcastOnly",
    "spark.sql.optimizer.dynamicPartitionPruning.useStats",
    "spark.sql.optimizer.runtime.bloomFilter.applicationSideScanSizeThreshold",
    "spark.sql.optimizer.runtime.bloomFilter.creationSideThreshold",
    "spark.sql.optimizer.runtime.bloomFilter.enabled",
    "spark.sql.optimizer.runtime.bloomFilter.expectedNumItems",
    "spark.sql.optimizer.runtime.bloomFilter.maxNumBits",
    "spark.sql.optimizer.runtime.bloomFilter.maxNumItems",
    "spark.sql.optimizer.runtime.bloomFilter.numBits",
    "spark.sql.optimizer.runtimeFilter.number.threshold",
    "spark.sql.shuffle.partitions",
    "spark.sql.shuffledHashJoinFactor",
    "spark.sql.sources.bucketing.autoBucketedScan.enabled",
    "spark.sql.sources.bucketing.enabled",
    "spark.sql.unionOutputPartitioning"
  )

  /** Memory: sizes of buffers and batches, and when operators spill to disk. */
  private val memory = Set(
    "spark.sql.cartesianProductExec.buffer.in.memory.threshold",
    "spark.sql.cartesianProductExec.buffer.spill.size.threshold",
    "spark.sql.cartesianProductExec.buffer.spill.threshold",
    "spark.sql.columnVector.offheap.enabled",
    "spark.sql.defaultCacheStorageLevel",
    "spark.sql.inMemoryColumnarStorage.batchSize",
    "spark.sql.inMemoryColumnarStorage.compressed",
    "spark.sql.inMemoryColumnarStorage.enableVectorizedReader",
    "spark.sql.inMemoryColumnarStorage.hugeVectorReserveRatio",
    "spark.sql.inMemoryColumnarStorage.hugeVectorThreshold",
    "spark.sql.objectHashAggregate.sortBased.fallbackThreshold",
    "spark.sql.orc.columnarReaderBatchSize",
    "spark.sql.parquet.columnarReaderBatchSize",
    "spark.sql.sessionWindow.buffer.in.memory.threshold",
    "spark.sql.sessionWindow.buffer.spill.size.threshold",
    "spark.sql.sessionWindow.buffer.spill.threshold",
    "spark.sql.sort.enableRadixSort",
    "spark.sql.sortMergeJoinExec.buffer.in.memory.threshold",
    "spark.sql.sortMergeJoinExec.buffer.spill.size.threshold",
    "spark.sql.sortMergeJoinExec.buffer.spill.threshold",
    "spark.sql.windowExec.buffer.in.memory.threshold",
    "spark.sql.windowExec.buffer.spill.size.threshold",
    "spark.sql.windowExec.buffer.spill.threshold"
  )

  /** Threads, timeouts, and how files and partitions are listed: which files there are counts by itself. */
  private val scheduling = Set(
    "spark.sql.broadcastExchange.maxThreadThreshold",
    "spark.sql.broadcastTimeout",
    "spark.sql.execution.interruptOnCancel",
    "spark.sql.hive.filesourcePartitionFileCacheSize",
    "spark.sql.hive.metastorePartitionPruning",
    "spark.sql.hive.metastorePartitionPruningFallbackOnException",
    "spark.sql.hive.metastorePartitionPruningFastFallback",
    "spark.sql.hive.metastorePartitionPruningInSetThreshold",
    "spark.sql.metadataCacheTTLSeconds",
    "spark.sql.resultQueryStage.maxThreadThreshold",
    "spark.sql.shuffleExchange.maxThreadThreshold",
    "spark.sql.sources.ignoreDataLocality",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism",
    "spark.sql.sources.parallelPartitionDiscovery.threshold",
    "spark.sql.sources.useListFilesFileSystemList",
    "spark.sql.statistics.fallBackToHdfs",
    "spark.sql.statistics.parallelFileListingInStatsComputation.enabled",
    "spark.sql.statistics.size.autoUpdate.enabled",
    "spark.sql.subquery.maxThreadThreshold"
  )

  /** What is logged, shown, or told to listeners. */
  private val showing = Set(
    "spark.sql.adaptive.logLevel",
    "spark.sql.dataFrameQueryContext.enabled",
    "spark.sql.dataframeCache.logLevel",
    "spark.sql.debug.maxToStringFields",
    "spark.sql.error.messageFormat",
    "spark.sql.event.truncate.length",
    "spark.sql.maxMetadataStringLength",
    "spark.sql.maxPlanStringLength",
    "spark.sql.planChangeLog.batches",
    "spark.sql.planChangeLog.level",
    "spark.sql.planChangeLog.rules",
    "spark.sql.queryExecutionListeners",
    "spark.sql.redaction.options.regex",
    "spark.sql.redaction.string.regex",
    "spark.sql.repl.eagerEval.enabled",
    "spark.sql.repl.eagerEval.maxNumRows",
    "spark.sql.repl.eagerEval.truncate",
    "spark.sql.stackTracesInDataFrameContext"
  )

  /** How Spark's own sources write. */
  private val writing = Set(
    "spark.sql.avro.compression.codec",
    "spark.sql.avro.datetimeRebaseModeInWrite",
    "spark.sql.files.maxRecordsPerFile",
    "spark.sql.maxConcurrentOutputFileWriters",
    "spark.sql.optimizer.plannedWrite.enabled",
    "spark.sql.orc.columnarWriterBatchSize",
    "spark.sql.orc.compression.codec",
    "spark.sql.parquet.compression.codec",
    "spark.sql.parquet.datetimeRebaseModeInWrite",
    "spark.sql.parquet.fieldId.write.enabled",
    "spark.sql.parquet.int96RebaseModeInWrite",
    "spark.sql.parquet.output.committer.class",
    "spark.sql.parquet.outputTimestampType",
    "spark.sql.parquet.writeLegacyFormat",
    "spark.sql.sources.commitProtocolClass",
    "spark.sql.sources.default",
    "spark.sql.sources.outputCommitterClass",
    "spark.sql.sources.partitionOverwriteMode"
  )

  /** Where names of tables lead. What they lead to, files or a table with an id and a version, counts by itself. */
  private val catalogs = Set(
    "spark.sql.catalogImplementation",
    "spark.sql.defaultCatalog",
    "spark.sql.warehouse.dir"
  )

  val Names: Set[String] = partitioning ++ memory ++ scheduling ++ showing ++ writing ++ catalogs

  /** Prefixes of which every name belongs to one of the groups above, or has no part in a batch query. */
  private val prefixes = Seq(
    // Delta Lake itself sets it after each commit of the session.
    "spark.databricks.delta.lastCommitVersionInSession",
    "spark.sql.artifact.",
    "spark.sql.catalog.",
    "spark.sql.codegen.",
    "spark.sql.hive.metastore.",
    "spark.sql.pipelines.",
    "spark.sql.session.localRelation",
    "spark.sql.streaming.",
    "spark.sql.thriftServer.",
    "spark.sql.thriftserver.",
    "spark.sql.ui."
  )

  /** How rows go to Python functions and come back. */
  private val python = Seq(
    "spark.sql.execution.arrow.",
    "spark.sql.execution.pandas.",
    "spark.sql.execution.pyspark.",
    "spark.sql.execution.python.",
    "spark.sql.execution.pythonUDF.",
    "spark.sql.execution.pythonUDTF.",
    "spark.sql.pyspark."
  )

  def contains(name: String): Boolean = Names(name) || prefixes.exists(name.startsWith)

  /** Whether it is harmless for a plan without Python functions, and only for such a one. */
  def isOfPython(name: String): Boolean = python.exists(name.startsWith)
}
