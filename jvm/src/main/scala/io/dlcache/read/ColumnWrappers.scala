package io.dlcache.read

import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarArray, ColumnarMap}
import org.apache.spark.unsafe.types.UTF8String

/** A column of arrays, seen as one of dense vectors. */
final private[read] class VectorColumn(arrays: ColumnVector, float: Boolean)
    extends Wrapper(VectorColumn.SqlType, arrays) {

  private val children = Array[ColumnVector](
    VectorColumn.Kind,
    new AbsentColumn(IntegerType),
    new AbsentColumn(ArrayType(IntegerType, containsNull = false)),
    if (float) new WideningArrays(arrays) else arrays
  )

  override def getChild(ordinal: Int): ColumnVector = children(ordinal)
}

private[read] object VectorColumn {

  /** The `sqlType` of both vector types. */
  val SqlType: StructType = new StructType()
    .add("type", ByteType, nullable = false)
    .add("size", IntegerType)
    .add("indices", ArrayType(IntegerType, containsNull = false))
    .add("values", ArrayType(DoubleType, containsNull = false))

  private object Kind extends ReadOnlyColumn(ByteType) {
    override def getByte(row: Int): Byte = ReadColumns.DenseVector
    override def hasNull: Boolean = false
    override def numNulls: Int = 0
    override def isNullAt(row: Int): Boolean = false
    override def close(): Unit = ()
  }
}

/** A column of structs, some of whose fields are replaced. */
final private[read] class StructColumn(structs: ColumnVector, children: Array[ColumnVector])
    extends Wrapper(structs.dataType(), structs) {
  override def getChild(ordinal: Int): ColumnVector = children(ordinal)
}

/** Arrays of float, seen as arrays of double. */
final private[read] class WideningArrays(arrays: ColumnVector)
    extends Wrapper(ArrayType(DoubleType, containsNull = false), arrays) {

  override def getArray(row: Int): ColumnarArray = {
    val floats = arrays.getArray(row)
    new ColumnarArray(new WideningValues(floats), 0, floats.numElements())
  }
}

final private[read] class WideningValues(floats: ColumnarArray) extends ReadOnlyColumn(DoubleType) {
  override def getDouble(index: Int): Double = floats.getFloat(index).toDouble
  override def hasNull: Boolean = false
  override def numNulls: Int = 0
  override def isNullAt(index: Int): Boolean = false
  override def close(): Unit = ()
}

/** Class numbers, seen as the floating point numbers that they were. */
final private[read] class ClassNumberColumn(numbers: ColumnVector, dataType: DataType)
    extends Wrapper(dataType, numbers) {
  override def getFloat(row: Int): Float = numbers.getLong(row).toFloat
  override def getDouble(row: Int): Double = numbers.getLong(row).toDouble
}

/** One element of arrays that all have it and none of which is null, seen as a column of its own. */
final private[read] class ElementColumn(arrays: ColumnVector, index: Int, dataType: DataType)
    extends Wrapper(dataType, arrays) {
  override def getByte(row: Int): Byte = arrays.getArray(row).getByte(index)
  override def getShort(row: Int): Short = arrays.getArray(row).getShort(index)
  override def getInt(row: Int): Int = arrays.getArray(row).getInt(index)
  override def getLong(row: Int): Long = arrays.getArray(row).getLong(index)
  override def getFloat(row: Int): Float = arrays.getArray(row).getFloat(index)
  override def getDouble(row: Int): Double = arrays.getArray(row).getDouble(index)
}

/** A field that no row has. */
final private[read] class AbsentColumn(dataType: DataType) extends ReadOnlyColumn(dataType) {
  override def hasNull: Boolean = true
  override def numNulls: Int = Int.MaxValue
  override def isNullAt(row: Int): Boolean = true
  override def getInt(row: Int): Int = 0
  override def getArray(row: Int): ColumnarArray = null
  override def close(): Unit = ()
}

/** Has the nulls and the life of the column that it stands for. */
abstract private[read] class Wrapper(dataType: DataType, inner: ColumnVector) extends ReadOnlyColumn(dataType) {
  override def hasNull: Boolean = inner.hasNull
  override def numNulls: Int = inner.numNulls
  override def isNullAt(row: Int): Boolean = inner.isNullAt(row)
  override def closeIfFreeable(): Unit = inner.closeIfFreeable()
  override def close(): Unit = inner.close()
}

/** A column of which only some accessors have a meaning: those that the type needs are overridden. */
abstract private[read] class ReadOnlyColumn(dataType: DataType) extends ColumnVector(dataType) {
  private def refuse() = throw new UnsupportedOperationException(s"$getClass holds ${dataType.simpleString}")

  override def getBoolean(row: Int): Boolean = refuse()
  override def getByte(row: Int): Byte = refuse()
  override def getShort(row: Int): Short = refuse()
  override def getInt(row: Int): Int = refuse()
  override def getLong(row: Int): Long = refuse()
  override def getFloat(row: Int): Float = refuse()
  override def getDouble(row: Int): Double = refuse()
  override def getArray(row: Int): ColumnarArray = refuse()
  override def getMap(row: Int): ColumnarMap = refuse()
  override def getDecimal(row: Int, precision: Int, scale: Int): Decimal = refuse()
  override def getUTF8String(row: Int): UTF8String = refuse()
  override def getBinary(row: Int): Array[Byte] = refuse()
  override def getChild(ordinal: Int): ColumnVector = refuse()
}
