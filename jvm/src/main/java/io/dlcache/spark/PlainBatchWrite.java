package io.dlcache.spark;

import org.apache.spark.sql.connector.write.BatchWrite;

/** As {@link PlainTable}, for writes. */
public abstract class PlainBatchWrite implements BatchWrite {}
