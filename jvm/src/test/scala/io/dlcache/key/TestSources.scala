package io.dlcache.key

import java.util
import java.util.concurrent.atomic.AtomicLong

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Row, SQLContext}
import org.apache.spark.sql.connector.catalog.{Table, TableProvider}
import org.apache.spark.sql.connector.expressions.Transform
import org.apache.spark.sql.sources.{BaseRelation, RelationProvider, TableScan}
import org.apache.spark.sql.types.{LongType, StructType}
import org.apache.spark.sql.util.CaseInsensitiveStringMap

/** A V1 source that says nothing about its state. */
class ConstantSource extends RelationProvider {
  override def createRelation(context: SQLContext, parameters: Map[String, String]): BaseRelation =
    new BaseRelation with TableScan {
      override def sqlContext: SQLContext = context
      override def schema: StructType = new StructType().add("a", LongType)
      override def buildScan(): RDD[Row] = context.sparkContext.parallelize(Seq(Row(1L)))
    }
}

/** A V2 table whose id and version are its options `id` and `version`; without them it reports none. */
class VersionedSource extends TableProvider {
  override def inferSchema(options: CaseInsensitiveStringMap): StructType = new StructType().add("a", LongType)
  override def getTable(schema: StructType, partitioning: Array[Transform], options: util.Map[String, String]): Table =
    new VersionedTable(options.get("id"), () => options.get("version"), () => 0L)
}

/** A V2 table whose only row is its version, which goes up when the table is scanned, so often as `moves` says. */
class MovingSource extends TableProvider {
  override def inferSchema(options: CaseInsensitiveStringMap): StructType = new StructType().add("a", LongType)
  override def getTable(schema: StructType, partitioning: Array[Transform], options: util.Map[String, String]): Table =
    new VersionedTable("moving", () => MovingSource.version.get.toString, () => MovingSource.scan())
}

object MovingSource {
  val version = new AtomicLong(1)
  val moves = new AtomicLong(0)

  private def scan(): Long = {
    if (moves.getAndDecrement() > 0) version.incrementAndGet(): Unit
    version.get
  }
}
