package io.dlcache.shard

import java.util.Locale

import io.dlcache.error.DlcacheErrors
import org.apache.parquet.schema.MessageType
import org.apache.spark.SPARK_VERSION
import org.apache.spark.sql.types._

/** How the rows of a DataFrame are laid out in shards: a pure decision from its schema, made on the driver.
  *
  * @param schema of the shards: vectors are arrays, floating types are cast, class numbers are `bigint`, nothing else
  *   differs from the DataFrame's
  * @param fields one for each field of the schema
  * @param ordinals for each field the DataFrame's column that it comes from; for a pack the first one
  * @param unpacked the DataFrame's columns as the schema has them, but each by itself, if columns are packed
  */
final private[dlcache] case class ShardLayout private (
    schema: StructType,
    fields: Seq[LayoutNode],
    ordinals: Seq[Int],
    unpacked: Option[StructType]
) {

  /** The manifest's columns: the leaves that are reached through structs only, in the order of the schema. */
  val columns: Seq[LeafColumn] = fields.flatMap(_.leaves)

  /** The packed columns, each with the names of its elements. */
  def packs: Seq[(String, Seq[String])] = columns.map(column => (column.path, column.strategy)).collect {
    case (path, ColumnStrategy.Packed(_, names, _)) => path.head -> names
  }

  /** What `dtype` has rounded in each column of which it has rounded any value. Of the task that writes. */
  def rounded: Map[String, Rounding] =
    columns.map(column => column.path.mkString(".") -> column.strategy.rounded).filter(_._2.values > 0).toMap

  def message: MessageType = ParquetSchema.message(schema)
}

sealed private[dlcache] trait LayoutNode extends Serializable {
  def leaves: Seq[LeafColumn]
}

final private[dlcache] case class StructLayout(fields: Seq[LayoutNode]) extends LayoutNode {
  override def leaves: Seq[LeafColumn] = fields.flatMap(_.leaves)
}

/** One column of the manifest.
  *
  * @param path the field names from the top, more than one inside structs
  * @param dataType in the shard's schema
  * @param udt `ml` or `mllib` if the column is a vector
  */
final private[dlcache] case class LeafColumn(
    path: Seq[String],
    dataType: DataType,
    strategy: ColumnStrategy,
    udt: Option[String]
) extends LayoutNode {
  override def leaves: Seq[LeafColumn] = Seq(this)

  /** For messages. */
  def name: String = path.mkString(".")

  /** Structs around the column: the definition level of a value of the column that is null. */
  def structs: Int = path.size - 1
}

/** How a column is buffered and written. */
sealed private[dlcache] trait ColumnStrategy extends Serializable {
  import ColumnStrategy._

  /** Under the name `column` in messages. */
  def named(column: String): ColumnStrategy = this match {
    case Scalar(value) => Scalar(value.named(column))
    case Lists(value, depth) => Lists(value.named(column), depth)
    case Vector(value) => Vector(value.named(column))
    case Packed(values, names, ordinals) => Packed(values.map(_.named(column)), names, ordinals)
    case other => other
  }

  /** What `dtype` has rounded. */
  def rounded: Rounding = this match {
    case Scalar(value) => value.rounded
    case Lists(value, _) => value.rounded
    case Vector(value) => value.rounded
    case Packed(values, _, _) =>
      values.distinctBy(System.identityHashCode(_)).map(_.rounded).foldLeft(Rounding.none)(_ + _)
    case _ => Rounding.none
  }
}

private[dlcache] object ColumnStrategy {
  final case class Scalar(value: ValueType) extends ColumnStrategy

  /** Lists of values of fixed width, `depth` of them inside one another. */
  final case class Lists(value: ValueType, depth: Int) extends ColumnStrategy
  final case class Vector(value: ValueType) extends ColumnStrategy

  /** Columns of the row at `ordinals` as one list; `values` are stored alike, but may come from different types. */
  final case class Packed(values: Seq[ValueType], names: Seq[String], ordinals: Seq[Int]) extends ColumnStrategy
  case object Text extends ColumnStrategy
  case object Binary extends ColumnStrategy

  /** A decimal of more than 18 digits: one value per row, but none that NumPy has a type for. */
  final case class LargeDecimal(precision: Int, scale: Int) extends ColumnStrategy

  /** A column without a type: all rows are null. */
  case object Untyped extends ColumnStrategy
  case object Nested extends ColumnStrategy
}

private[dlcache] object ShardLayout {
  private val VectorTypes =
    Map("org.apache.spark.ml.linalg.VectorUDT" -> "ml", "org.apache.spark.mllib.linalg.VectorUDT" -> "mllib")

  /** @param dtype what floating columns are cast to (scalars, arrays, vectors, also inside structs); None keeps them
    * @param caseSensitive whether Spark tells names apart that differ by case only (`spark.sql.caseSensitive`)
    * @param packs columns that are stored as one; it stands where the first of them would
    * @param classes the floating columns that are stored as class numbers, by their paths; None for those of which Spark
    *   ML's metadata says so. A packed column never is
    * @throws io.dlcache.error.DlcacheException `DLCACHE_UNSUPPORTED_COLUMN` for a column that cannot be stored,
    *   `DLCACHE_INVALID_PACK`
    */
  def of(
      schema: StructType,
      dtype: Option[FloatDtype],
      caseSensitive: Boolean = false,
      packs: Seq[Pack] = Nil,
      classes: Option[Set[Seq[String]]] = None
  ): ShardLayout = {
    def fold(name: String) = if (caseSensitive) name else name.toLowerCase(Locale.ROOT)
    val inPack = packs.flatMap(_.columns).map(fold).toSet
    def isClass(path: Seq[String], field: StructField) =
      (path.size > 1 || !inPack(fold(path.head))) && classes.fold(ClassNumbers.isCategorical(field))(_(path))
    if (schema.isEmpty)
      throw DlcacheErrors.unsupportedColumn("*", schema.catalogString, "the DataFrame has no columns")
    refuseDuplicates(Nil, schema, caseSensitive)
    val resolved = schema.map(field => resolve(Seq(field.name), field, dtype, caseSensitive, isClass))
    val packed = Packing.resolve(packs, resolved, caseSensitive)
    val inPacks = packed.flatMap(_.ordinals).toSet
    val columns = resolved.indices.flatMap { i =>
      if (inPacks(i)) packed.find(_.ordinals.min == i).map(pack => (pack.field, pack.column, i))
      else Some((resolved(i)._1, resolved(i)._2, i))
    }
    ShardLayout(
      StructType(columns.map(_._1)),
      columns.map(_._2),
      columns.map(_._3),
      Option.when(packed.nonEmpty)(StructType(resolved.map(_._1)))
    )
  }

  private def resolve(
      path: Seq[String],
      field: StructField,
      dtype: Option[FloatDtype],
      caseSensitive: Boolean,
      isClass: (Seq[String], StructField) => Boolean
  ): (StructField, LayoutNode) = field.dataType match {
    case struct: StructType =>
      refuseEmpty(path, struct)
      refuseDuplicates(path, struct, caseSensitive)
      val resolved = struct.map(inner => resolve(path :+ inner.name, inner, dtype, caseSensitive, isClass))
      (field.copy(dataType = StructType(resolved.map(_._1))), StructLayout(resolved.map(_._2)))
    case source @ (DoubleType | FloatType) if isClass(path, field) =>
      val value = ValueType.classNumbers(source).named(path.mkString("."))
      (ClassNumbers.stored(field), LeafColumn(path, value.dataType, ColumnStrategy.Scalar(value), None))
    case other =>
      val (dataType, strategy) = leaf(path, other, dtype, caseSensitive)
      (field.copy(dataType = dataType), LeafColumn(path, dataType, strategy.named(path.mkString(".")), vector(other)))
  }

  private def leaf(
      path: Seq[String],
      dataType: DataType,
      dtype: Option[FloatDtype],
      caseSensitive: Boolean
  ): (DataType, ColumnStrategy) = dataType match {
    case udt if vector(udt).isDefined && path.size == 1 =>
      val value = ValueType.of(DoubleType, dtype).get
      (ArrayType(value.dataType, containsNull = false), ColumnStrategy.Vector(value))
    case array: ArrayType if elementValue(array, dtype).isDefined =>
      val (value, depth) = elementValue(array, dtype).get
      (withElement(array, value.dataType), ColumnStrategy.Lists(value, depth))
    case d: DecimalType if d.precision > Decimal.MAX_LONG_DIGITS =>
      (d, ColumnStrategy.LargeDecimal(d.precision, d.scale))
    case text: StringType => (stringOf(text), ColumnStrategy.Text)
    case BinaryType => (BinaryType, ColumnStrategy.Binary)
    case NullType => (nested(path, NullType, caseSensitive), ColumnStrategy.Untyped)
    case other =>
      ValueType.of(other, dtype) match {
        case Some(value) => (value.dataType, ColumnStrategy.Scalar(value))
        case None => (nested(path, other, caseSensitive), ColumnStrategy.Nested)
      }
  }

  /** Spark's Parquet reader knows the null type since 4.2. */
  private val readsNullType: Boolean =
    SPARK_VERSION.split("\\.", 3) match {
      case Array(major, minor, _*) => major.toInt > 4 || major.toInt == 4 && minor.toInt >= 2
      case _ => false
    }

  private def vector(dataType: DataType): Option[String] = VectorTypes.get(dataType.getClass.getName)

  /** The innermost element of nested arrays, if it has a fixed width, and how many arrays there are around it. */
  private def elementValue(array: ArrayType, dtype: Option[FloatDtype]): Option[(ValueType, Int)] =
    array.elementType match {
      case inner: ArrayType => elementValue(inner, dtype).map { case (value, depth) => (value, depth + 1) }
      case element => ValueType.of(element, dtype).map((_, 1))
    }

  private def withElement(array: ArrayType, element: DataType): ArrayType = array.elementType match {
    case inner: ArrayType => array.copy(elementType = withElement(inner, element))
    case _ => array.copy(elementType = element)
  }

  /** The storage type of what lies inside arrays and maps; floating types stay as they are there. */
  private def nested(path: Seq[String], dataType: DataType, caseSensitive: Boolean): DataType = dataType match {
    case ArrayType(element, containsNull) =>
      ArrayType(nested(path :+ "element", element, caseSensitive), containsNull)
    case MapType(key, value, valueContainsNull) =>
      MapType(
        nested(path :+ "key", key, caseSensitive),
        nested(path :+ "value", value, caseSensitive),
        valueContainsNull
      )
    case struct: StructType =>
      refuseEmpty(path, struct)
      refuseDuplicates(path, struct, caseSensitive)
      StructType(struct.map(f => f.copy(dataType = nested(path :+ f.name, f.dataType, caseSensitive))))
    case text: StringType => stringOf(text)
    case BinaryType => BinaryType
    case d: DecimalType => d
    case fixed if ValueType.of(fixed, None).isDefined => fixed
    case udt if vector(udt).isDefined =>
      refuse(path, udt, "vectors are stored at the top level only; select this one as a column of its own")
    case udt: UserDefinedType[_] =>
      refuse(path, udt, "user-defined types other than vectors have no Parquet type; convert it to plain columns")
    case NullType if readsNullType => NullType
    case NullType =>
      refuse(path, NullType, s"Spark $SPARK_VERSION cannot read it back; cast it to the type that it should have")
    case VariantType =>
      refuse(path, VariantType, "dlcache has no layout for variants; extract fields with variant_get, or use to_json")
    case other => refuse(path, other, "Parquet has no type for it that Spark reads back; cast it, or drop the column")
  }

  /** `char(n)` and `varchar(n)` are strings in files; a collation stays. */
  private def stringOf(text: StringType): DataType = text match {
    case _: CharType | _: VarcharType => StringType
    case string => string
  }

  private def refuseEmpty(path: Seq[String], struct: StructType): Unit =
    if (struct.isEmpty) refuse(path, struct, "Parquet cannot store a struct that has no fields; drop the column")

  private def refuseDuplicates(path: Seq[String], struct: StructType, caseSensitive: Boolean): Unit = {
    val names = struct.fieldNames.groupBy(name => if (caseSensitive) name else name.toLowerCase(Locale.ROOT))
    struct.fields.find(field => names.values.exists(same => same.length > 1 && same.contains(field.name))).foreach {
      field =>
        val why =
          "another field has the same name, or one that differs by case only, and Spark could not read both; rename one"
        refuse(path :+ field.name, field.dataType, why)
    }
  }

  private def refuse(path: Seq[String], dataType: DataType, reason: String): Nothing =
    throw DlcacheErrors.unsupportedColumn(path.mkString("."), dataType.catalogString, reason)
}
