package io.dlcache.shard

import scala.util.Try

import org.apache.spark.sql.types._

/** Categorical columns of Spark ML, such as the output of a `StringIndexer`: floating point in Spark, with the numbers of
  * classes as values. They are stored as `bigint`, which training code takes as labels, and read as they were. The field in
  * the shards' schema says so in its metadata, beside Spark ML's own, which has the labels.
  */
private[dlcache] object ClassNumbers {
  private val Attribute = "ml_attr"
  private val Type = "dlcache.type"
  private val Categorical = Set("nominal", "binary")
  private val Types = Map[String, DataType]("double" -> DoubleType, "float" -> FloatType)

  /** Whether Spark ML's metadata says that the values of a column are class numbers. */
  def isCategorical(field: StructField): Boolean =
    Types.values.exists(_ == field.dataType) &&
      attribute(field).flatMap(found => Try(found.getString("type")).toOption).exists(Categorical)

  /** The field as the shards have it. */
  def stored(field: StructField): StructField =
    StructField(field.name, LongType, field.nullable, edited(field)(_.putString(Type, field.dataType.typeName)))

  /** The field as Spark reads it. */
  def read(field: StructField): StructField = sparkType(field).fold(field) { dataType =>
    StructField(field.name, dataType, field.nullable, edited(field)(_.remove(Type)))
  }

  /** The columns of a stored schema that are class numbers, by their paths, with the types that Spark reads. */
  def of(stored: StructType): Map[Seq[String], DataType] = fields(stored, Nil).flatMap { case (path, field) =>
    sparkType(field).map(path -> _)
  }.toMap

  /** The labels of the columns of a stored schema that are class numbers, where the schema has labels. */
  def labels(stored: StructType): Map[Seq[String], Seq[String]] = fields(stored, Nil).flatMap { case (path, field) =>
    sparkType(field)
      .flatMap(_ => attribute(field))
      .flatMap(found => Try(found.getStringArray("vals")).toOption)
      .map(path -> _.toSeq)
  }.toMap

  private def sparkType(field: StructField): Option[DataType] =
    if (field.dataType == LongType && field.metadata.contains(Type))
      Try(field.metadata.getString(Type)).toOption.flatMap(Types.get)
    else None

  private def attribute(field: StructField): Option[Metadata] =
    if (field.metadata.contains(Attribute)) Try(field.metadata.getMetadata(Attribute)).toOption else None

  private def edited(field: StructField)(edit: MetadataBuilder => MetadataBuilder): Metadata =
    edit(new MetadataBuilder().withMetadata(field.metadata)).build()

  private def fields(schema: StructType, prefix: Seq[String]): Seq[(Seq[String], StructField)] =
    schema.fields.toSeq.flatMap { field =>
      field.dataType match {
        case struct: StructType => fields(struct, prefix :+ field.name)
        case _ => Seq((prefix :+ field.name, field))
      }
    }
}
