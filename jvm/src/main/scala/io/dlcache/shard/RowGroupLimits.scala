package io.dlcache.shard

/** How much is buffered of one row group. Java counts the elements of arrays in ints, and Parquet the values and the bytes
  * of a page; so a row group ends, and a shard rolls, while there is room for one more row.
  *
  * @param expected bytes of a row group, about
  * @param buffered bytes of all columns that only the row before exceeds: each value, null and list counts at least one
  * @param rows of a row group
  * @param chunk bytes of one column, and its values with its nulls; a row that exceeds it is an error
  */
final private[shard] case class RowGroupLimits(expected: Long, buffered: Long, rows: Int, chunk: Int)

private[shard] object RowGroupLimits {

  /** Of row groups that have `expected` bytes, at most 1 GiB. */
  def apply(expected: Long): RowGroupLimits =
    // So many rows keep a row index below the limit of an array, however small they are.
    RowGroupLimits(expected, buffered = 3L << 29, rows = 1 << 28, chunk = Int.MaxValue - 16)
}
