package io.dlcache.key;

import java.util.EnumSet;
import java.util.Set;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A V2 table with an id and a version, each of which may be null. In Java, since these methods override
 * something on Spark 4.1 and later and nothing on 4.0.
 */
public final class VersionedTable implements SupportsRead {
  private final String id;
  private final String version;

  public VersionedTable(String id, String version) {
    this.id = id;
    this.version = version;
  }

  public String id() {
    return id;
  }

  public String version() {
    return version;
  }

  @Override
  public String name() {
    return "versioned";
  }

  @Override
  public StructType schema() {
    return new StructType().add("a", DataTypes.LongType);
  }

  @Override
  public Set<TableCapability> capabilities() {
    return EnumSet.of(TableCapability.BATCH_READ);
  }

  @Override
  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    throw new UnsupportedOperationException("is never scanned");
  }
}
