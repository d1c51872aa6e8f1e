package io.dlcache.spark;

import org.apache.spark.sql.connector.catalog.DelegatingCatalogExtension;
import org.apache.spark.sql.connector.catalog.StagingTableCatalog;

/** As {@link PlainTable}, for a session catalog that creates tables in stages. */
public abstract class PlainCatalog extends DelegatingCatalogExtension implements StagingTableCatalog {}
