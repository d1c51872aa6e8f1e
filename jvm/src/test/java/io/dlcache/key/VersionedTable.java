package io.dlcache.key;

import java.util.EnumSet;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A V2 table of one row with an id and a version, each of which may be null. In Java, since these methods override
 * something on Spark 4.1 and later and nothing on 4.0.
 */
public final class VersionedTable implements SupportsRead {
  private final String id;
  private final Supplier<String> version;
  private final LongSupplier row;

  public VersionedTable(String id, Supplier<String> version, LongSupplier row) {
    this.id = id;
    this.version = version;
    this.row = row;
  }

  public String id() {
    return id;
  }

  public String version() {
    return version.get();
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
    return () -> new LocalScan() {
      @Override
      public InternalRow[] rows() {
        return new InternalRow[] {new GenericInternalRow(new Object[] {row.getAsLong()})};
      }

      @Override
      public StructType readSchema() {
        return schema();
      }
    };
  }
}
