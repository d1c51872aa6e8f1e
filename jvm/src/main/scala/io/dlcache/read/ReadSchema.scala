package io.dlcache.read

import java.util.Locale

import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.{ColumnEntry, Manifest}
import io.dlcache.shard.ClassNumbers
import org.apache.spark.sql.types.{ArrayType, DataType, MapType, StructField, StructType}

/** Why a schema that was asked for is not the dataset's. */
final private[dlcache] case class SchemaMismatch(column: String, reason: String)

/** The place of a column that is packed.
  *
  * @param column the packed column
  * @param index of the element
  */
final private[read] case class Element(column: String, index: Int)

/** The two schemas of a dataset: what is stored, and what Spark reads. They differ in vectors, which are stored as arrays,
  * in packs, which are stored as one array and read as columns, and in class numbers, which are stored as integers.
  */
private[dlcache] object ReadSchema {

  private val VectorClasses =
    Map("ml" -> "org.apache.spark.ml.linalg.VectorUDT", "mllib" -> "org.apache.spark.mllib.linalg.VectorUDT")

  /** The schema that `spark.read` gives: the stored one, with vectors as vectors and class numbers as floating point.
    *
    * @throws io.dlcache.error.DlcacheException DLCACHE_UNSUPPORTED_COLUMN if there are vectors and no MLlib
    */
  def of(manifest: Manifest): StructType = {
    val vectors = manifest.columns.collect { case column @ Vector(udt) => column.path -> vectorType(column, udt) }.toMap
    mapLeaves(manifest.rowSchema, Nil) { (path, field) =>
      vectors.get(path).fold(ClassNumbers.read(field))(vector => field.copy(dataType = vector))
    }
  }

  /** Two columns, or fields of one struct, whose names differ only by case. */
  def ambiguous(struct: StructType): Option[(String, String)] =
    struct.fieldNames
      .groupBy(_.toLowerCase(Locale.ROOT))
      .values
      .collectFirst { case Array(first, second, _*) => (first, second) }
      .orElse(struct.fields.flatMap(field => ambiguousIn(field.dataType)).headOption)

  private def ambiguousIn(dataType: DataType): Option[(String, String)] = dataType match {
    case struct: StructType => ambiguous(struct)
    case ArrayType(element, _) => ambiguousIn(element)
    case MapType(key, value, _) => ambiguousIn(key).orElse(ambiguousIn(value))
    case _ => None
  }

  /** Why a dataset of the schema `actual` cannot be read as `declared`, if it cannot. A part of the columns in any order
    * can; a column may be declared nullable that is not.
    */
  def mismatch(declared: StructType, actual: StructType): Option[SchemaMismatch] =
    declared.fields.toSeq
      .map(field => (field, actual.fields.find(_.name == field.name)))
      .collectFirst {
        case (field, None) => SchemaMismatch(field.name, "is not in the dataset")
        case (field, Some(there)) if !fits(field.dataType, there.dataType) =>
          SchemaMismatch(field.name, s"is ${there.dataType.catalogString}, not ${field.dataType.catalogString}")
        case (field, Some(there)) if there.nullable && !field.nullable =>
          SchemaMismatch(field.name, "may be null, and is declared NOT NULL")
      }

  private def fits(declared: DataType, actual: DataType): Boolean = (declared, actual) match {
    case (ArrayType(d, dn), ArrayType(a, an)) => (dn || !an) && fits(d, a)
    case (MapType(dk, dv, dn), MapType(ak, av, an)) => (dn || !an) && fits(dk, ak) && fits(dv, av)
    case (d: StructType, a: StructType) => d.length <= a.length && mismatch(d, a).isEmpty
    case _ => declared == actual
  }

  /** What of the shards must be read for `required`, which is a part of `ReadSchema.of(manifest)`. A pack is read once,
    * whichever of its columns are required.
    */
  def stored(required: StructType, manifest: Manifest): StructType = {
    val reshaped = reshapedPaths(manifest)
    val packed = elements(manifest)
    if (reshaped.isEmpty && packed.isEmpty) required
    else {
      val types = Manifest.leaves(manifest.schema).toMap
      val names = required.fieldNames.map(name => packed.get(name).fold(name)(_.column)).distinct
      val fields = names.map(name => required.find(_.name == name).getOrElse(manifest.schema(name)))
      mapLeaves(StructType(fields), Nil) { (path, field) =>
        if (reshaped(path)) field.copy(dataType = types(path)) else field
      }
    }
  }

  /** The columns that are packed, by name. */
  def elements(manifest: Manifest): Map[String, Element] =
    manifest.packs.flatMap { case (column, names) =>
      names.zipWithIndex.map { case (name, i) => name -> Element(column, i) }
    }.toMap

  def vectorPaths(manifest: Manifest): Set[Seq[String]] =
    manifest.columns.filter(_.udt.isDefined).map(_.path).toSet

  /** The stored columns that Spark reads as another type. */
  def reshapedPaths(manifest: Manifest): Set[Seq[String]] =
    vectorPaths(manifest) ++ ClassNumbers.of(manifest.schema).keySet

  private object Vector {
    def unapply(column: ColumnEntry): Option[String] = column.udt
  }

  private def mapLeaves(struct: StructType, prefix: Seq[String])(
      f: (Seq[String], StructField) => StructField
  ): StructType =
    StructType(struct.map { field =>
      val path = prefix :+ field.name
      field.dataType match {
        case inner: StructType => field.copy(dataType = mapLeaves(inner, path)(f))
        case _ => f(path, field)
      }
    })

  /** The type is made from one of two constant names, never from a name in the data; MLlib is needed only here. */
  private def vectorType(column: ColumnEntry, udt: String): DataType = {
    val name = VectorClasses(udt)
    try DataType.fromJson(s"""{"type":"udt","class":"$name","pyClass":null,"sqlType":"null"}""")
    catch {
      case e: ClassNotFoundException =>
        throw DlcacheErrors.unsupportedColumn(
          column.name,
          name,
          "spark-mllib is not on the class path, and it has this type",
          Some(e)
        )
    }
  }
}
