package io.dlcache.read

import io.dlcache.manifest.Manifest
import io.dlcache.shard.ClassNumbers
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._
import org.apache.spark.sql.vectorized.{ColumnVector, ColumnarBatch}

/** Makes of the columns that are stored those that Spark reads: vectors of arrays, of a packed column its elements, and
  * floating point numbers of class numbers.
  * To Spark, MLlib's vectors are `struct<type, size, indices, values>`, of which a dense one uses `type` (1) and `values`.
  * Batches are wrapped, not copied; float32 values widen when asked for.
  *
  * @param fields one for each column that Spark reads
  */
final private[read] class ReadColumns private (val fields: Seq[ReadColumns.Field]) extends Serializable {

  import ReadColumns._

  private val nothingToDo =
    fields.zipWithIndex.forall { case (field, i) => field.source == i && field.shape.isInstanceOf[AsStored] }

  /** The reader fills one batch again and again, so its columns are wrapped once. */
  def batches(source: Iterator[ColumnarBatch]): Iterator[ColumnarBatch] =
    if (nothingToDo) source
    else {
      var last: ColumnarBatch = null
      var wrapped: ColumnarBatch = null
      closing(source) { batch =>
        if (batch ne last) {
          last = batch
          wrapped = new ColumnarBatch(fields.map(field => wrap(batch.column(field.source), field.shape)).toArray)
        }
        wrapped.setNumRows(batch.numRows())
        wrapped
      }
    }

  /** `source.map(wrap)`, which also closes what `source` has open. */
  private def closing(source: Iterator[ColumnarBatch])(wrap: ColumnarBatch => ColumnarBatch): Iterator[ColumnarBatch] =
    new Iterator[ColumnarBatch] with AutoCloseable {
      override def hasNext: Boolean = source.hasNext
      override def next(): ColumnarBatch = wrap(source.next())
      override def close(): Unit = source match {
        case closeable: AutoCloseable => closeable.close()
        case _ =>
      }
    }

  def rows(source: Iterator[InternalRow]): Iterator[InternalRow] =
    if (nothingToDo) source else source.map(convert(_, fields))
}

private[read] object ReadColumns {

  /** One column that Spark reads.
    *
    * @param source the stored column that it comes from
    */
  final private[read] case class Field(source: Int, shape: Shape)

  /** What becomes of a stored column. */
  sealed private[read] trait Shape extends Serializable
  final private[read] case class AsStored(dataType: DataType) extends Shape
  final private[read] case class AsVector(float: Boolean) extends Shape
  final private[read] case class AsFloating(dataType: DataType) extends Shape
  final private[read] case class AsElement(index: Int, dataType: DataType) extends Shape
  final private[read] case class ReshapedInside(fields: Seq[Field]) extends Shape

  /** What `VectorUDT` calls a vector that holds all its values. */
  private[read] val DenseVector: Byte = 1

  /** @param required what Spark reads
    * @param stored the part of the shards' schema that is read for it
    */
  def of(required: StructType, stored: StructType, manifest: Manifest): ReadColumns = {
    val vectors = ReadSchema.vectorPaths(manifest)
    val classes = ClassNumbers.of(manifest.schema)
    val elements = ReadSchema.elements(manifest)

    def shape(path: Seq[String], dataType: DataType): Shape = dataType match {
      case ArrayType(element, _) if vectors(path) => AsVector(element == FloatType)
      case struct: StructType =>
        val inner = struct.fields.toSeq.zipWithIndex.map { case (field, i) =>
          Field(i, shape(path :+ field.name, field.dataType))
        }
        if (inner.forall(_.shape.isInstanceOf[AsStored])) AsStored(struct) else ReshapedInside(inner)
      case other => classes.get(path).fold[Shape](AsStored(other))(AsFloating(_))
    }

    new ReadColumns(required.fields.toSeq.map { field =>
      elements.get(field.name) match {
        case Some(Element(column, index)) => Field(stored.fieldIndex(column), AsElement(index, field.dataType))
        case None =>
          val source = stored.fieldIndex(field.name)
          Field(source, shape(Seq(field.name), stored(source).dataType))
      }
    })
  }

  private def wrap(column: ColumnVector, shape: Shape): ColumnVector = shape match {
    case AsStored(_) => column
    case AsVector(float) => new VectorColumn(column, float)
    case AsFloating(dataType) => new ClassNumberColumn(column, dataType)
    case AsElement(index, dataType) => new ElementColumn(column, index, dataType)
    case ReshapedInside(fields) =>
      new StructColumn(column, fields.map(field => wrap(column.getChild(field.source), field.shape)).toArray)
  }

  private def convert(row: InternalRow, fields: Seq[Field]): InternalRow = {
    val values = new Array[Any](fields.size)
    for ((Field(source, shape), i) <- fields.iterator.zipWithIndex if !row.isNullAt(source))
      values(i) = shape match {
        case AsStored(dataType) => row.get(source, dataType)
        case AsVector(float) => vector(row.getArray(source), float)
        case AsFloating(FloatType) => row.getLong(source).toFloat
        case AsFloating(_) => row.getLong(source).toDouble
        case AsElement(index, dataType) => row.getArray(source).get(index, dataType)
        case ReshapedInside(inner) => convert(row.getStruct(source, inner.size), inner)
      }
    new GenericInternalRow(values)
  }

  private def vector(array: ArrayData, float: Boolean): InternalRow = {
    val values = if (float) array.toFloatArray().map(_.toDouble) else array.toDoubleArray()
    new GenericInternalRow(Array[Any](DenseVector, null, null, UnsafeArrayData.fromPrimitiveArray(values)))
  }
}
