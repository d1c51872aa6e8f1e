package io.dlcache.shard.file

import scala.language.existentials

import org.apache.parquet.column.statistics.Statistics

/** One page with all values of a column chunk: `levels | values` is the range [from, until) of `data`.
  *
  * @param valueCount values and nulls, as the levels count them
  * @param valuesFrom where in `data` the values start
  * @param raw whether nothing in it is null, so that the values can be mapped
  * @param index what the row index holds, if the column has one
  */
final private[shard] case class Page(
    valueCount: Int,
    data: Array[Byte],
    from: Int,
    valuesFrom: Int,
    until: Int,
    statistics: Statistics[_],
    raw: Boolean,
    index: Option[Array[Int]]
)
