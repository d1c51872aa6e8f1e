package io.dlcache.shard.buffer

import java.util.Arrays

import io.dlcache.shard.{LeafColumn, RowGroupLimits, ValueType}
import org.apache.parquet.column.ColumnDescriptor
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters
import org.apache.spark.sql.catalyst.util.ArrayData

/** MLlib's vectors, read from the struct (type, size, indices, values) that Spark's rows hold for them. */
final private[shard] class VectorBuffer(
    column: LeafColumn,
    value: ValueType,
    descriptor: ColumnDescriptor,
    limits: RowGroupLimits
) extends ListBuffer(column, value, 1, descriptor, limits) {

  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(column.structs)
    else {
      val vector = row.getStruct(ordinal, 4)
      if (vector.getByte(0) == VectorBuffer.Dense) addList(vector.getArray(3), 0)
      else addSparse(vector.getInt(1), vector.getArray(2), vector.getArray(3))
    }

  private def addSparse(size: Int, indices: ArrayData, elements: ArrayData): Long = {
    val lengthBytes = addLength(size, 0)
    val at = values.append(size * width)
    Arrays.fill(values.data, at, at + size * copy.width, 0.toByte)
    var i = 0
    while (i < indices.numElements()) {
      copy.one(elements, i, values.data, at + indices.getInt(i) * copy.width)
      i += 1
    }
    lengthBytes + addedValues(size)
  }
}

private[shard] object VectorBuffer {
  private val Dense = 1
}
