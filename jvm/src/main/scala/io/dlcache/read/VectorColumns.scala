package io.dlcache.read

import io.dlcache.manifest.Manifest
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarBatch}

/** Gives arrays back as vectors, in place. To Spark, MLlib's vectors are `struct<type, size, indices, values>`, of which
  * a dense one uses `type` (1) and `values`. Batches are wrapped, not copied; float32 values widen when asked for.
  */
final private[read] class VectorColumns private (fields: Seq[VectorColumns.Shape]) extends Serializable {

  import VectorColumns._

  private val nothingToDo = fields.forall(_.isInstanceOf[AsStored])

  /** The reader fills one batch again and again, so its columns are wrapped once. */
  def batches(source: Iterator[ColumnarBatch]): Iterator[ColumnarBatch] =
    if (nothingToDo) source
    else {
      var last: ColumnarBatch = null
      var wrapped: ColumnarBatch = null
      source.map { batch =>
        if (batch ne last) {
          last = batch
          wrapped =
            new ColumnarBatch(fields.zipWithIndex.map { case (shape, i) => wrap(batch.column(i), shape) }.toArray)
        }
        wrapped.setNumRows(batch.numRows())
        wrapped
      }
    }

  def rows(source: Iterator[InternalRow]): Iterator[InternalRow] =
    if (nothingToDo) source else source.map(convert(_, fields))
}

private[read] object VectorColumns {

  /** What becomes of a field. */
  sealed private trait Shape
  final private case class AsStored(dataType: DataType) extends Shape
  final private case class AsVector(float: Boolean) extends Shape
  final private case class VectorsInside(fields: Seq[Shape]) extends Shape

  /** What `VectorUDT` calls a vector that holds all its values. */
  private[read] val DenseVector: Byte = 1

  /** @param stored the part of the shards' schema that is read */
  def of(stored: StructType, manifest: Manifest): VectorColumns = {
    val vectors = ReadSchema.vectorPaths(manifest)

    def shape(path: Seq[String], dataType: DataType): Shape = dataType match {
      case ArrayType(element, _) if vectors(path) => AsVector(element == FloatType)
      case struct: StructType =>
        val inner = shapes(path, struct)
        if (inner.forall(_.isInstanceOf[AsStored])) AsStored(struct) else VectorsInside(inner)
      case other => AsStored(other)
    }

    def shapes(prefix: Seq[String], struct: StructType): Seq[Shape] =
      struct.map(field => shape(prefix :+ field.name, field.dataType))

    new VectorColumns(shapes(Nil, stored))
  }

  private def wrap(column: ColumnVector, shape: Shape): ColumnVector = shape match {
    case AsStored(_) => column
    case AsVector(float) => new VectorColumn(column, float)
    case VectorsInside(fields) =>
      new StructColumn(column, fields.zipWithIndex.map { case (inner, i) => wrap(column.getChild(i), inner) }.toArray)
  }

  private def convert(row: InternalRow, fields: Seq[Shape]): InternalRow = {
    val values = new Array[Any](fields.size)
    for ((shape, i) <- fields.iterator.zipWithIndex if !row.isNullAt(i))
      values(i) = shape match {
        case AsStored(dataType) => row.get(i, dataType)
        case AsVector(float) => vector(row.getArray(i), float)
        case VectorsInside(inner) => convert(row.getStruct(i, inner.size), inner)
      }
    new GenericInternalRow(values)
  }

  private def vector(array: ArrayData, float: Boolean): InternalRow = {
    val values = if (float) array.toFloatArray().map(_.toDouble) else array.toDoubleArray()
    new GenericInternalRow(Array[Any](DenseVector, null, null, UnsafeArrayData.fromPrimitiveArray(values)))
  }
}
