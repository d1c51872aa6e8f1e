package io.dlcache.write

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{col, monotonically_increasing_id, rand}

/** The partitions and the order in which rows are written: the DataFrame's own, unless `shards` or `shuffle` is given.
  * The same rows in the same input partitions are always arranged in the same way.
  *
  * @param shards how many partitions, of even size to within one row for each partition of the DataFrame
  * @param shuffle the seed
  */
final private[dlcache] case class Arrangement(shards: Option[Int], shuffle: Option[Long]) {

  def of(data: DataFrame): DataFrame = shuffle match {
    case Some(seed) => shuffled(data, seed)
    case None => shards.fold(data)(data.repartition(_))
  }

  /** Whether fewer partitions got rows than `shards` asks for: Spark deals out each input partition from a start of its
    * own, so it can leave some out when there are few rows in many partitions.
    */
  def isShort(shardsWritten: Int, rows: Long): Boolean = shards.exists(n => shardsWritten < math.min(n.toLong, rows))

  /** As [[of]], with all rows dealt out by one task, so that sizes differ by one row at most. */
  def ofCoalesced(data: DataFrame): DataFrame =
    of(data.sparkSession.createDataFrame(data.rdd.coalesce(1), data.schema))

  /** Each row gets its random number before it moves: rows arrive in any order. The row's own number settles ties. */
  private def shuffled(data: DataFrame, seed: Long): DataFrame = {
    val numbered = data
      .withColumn(Arrangement.Random, rand(seed))
      .withColumn(Arrangement.Number, monotonically_increasing_id())
    val spread = shards match {
      case Some(n) => numbered.repartition(n)
      case None => numbered.repartition(col(Arrangement.Random))
    }
    spread
      .sortWithinPartitions(col(Arrangement.Random), col(Arrangement.Number))
      .drop(Arrangement.Random, Arrangement.Number)
  }
}

private[dlcache] object Arrangement {
  private val Random = "__dlcache_random"
  private val Number = "__dlcache_number"
}
