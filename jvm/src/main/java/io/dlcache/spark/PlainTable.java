package io.dlcache.spark;

import org.apache.spark.sql.connector.catalog.Table;

/**
 * What the connector's tables extend. scalac writes a forwarder for each default method of an interface, also for those
 * of which Spark 4.0 does not know the types; javac writes none, so that one jar serves all versions.
 */
public abstract class PlainTable implements Table {}
