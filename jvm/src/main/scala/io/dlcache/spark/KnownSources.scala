package io.dlcache.spark

import scala.util.Try

import org.apache.spark.sql.connector.catalog.Table
import org.apache.spark.sql.execution.datasources.{
  CatalogFileIndex,
  FileFormat,
  FileIndex,
  HadoopFsRelation,
  PartitioningAwareFileIndex
}
import org.apache.spark.sql.execution.datasources.v2.FileTable

/** The classes of sources whose rows follow from what a key holds of them. All others are inputs without a state: a
  * subclass of a known class may read anything.
  */
private[spark] object KnownSources {
  private val Datasources = "org.apache.spark.sql.execution.datasources."

  private val formats: Set[String] = Set(
    Datasources + "binaryfile.BinaryFileFormat",
    Datasources + "csv.CSVFileFormat",
    Datasources + "json.JsonFileFormat",
    Datasources + "orc.OrcFileFormat",
    Datasources + "parquet.ParquetFileFormat",
    Datasources + "text.TextFileFormat",
    Datasources + "xml.XmlFileFormat",
    "org.apache.spark.ml.source.libsvm.LibSVMFileFormat"
  )

  private val tables: Set[String] = Set(
    Datasources + "v2.csv.CSVTable",
    Datasources + "v2.json.JsonTable",
    Datasources + "v2.orc.OrcTable",
    Datasources + "v2.parquet.ParquetTable",
    Datasources + "v2.text.TextTable"
  )

  /** Avro is a package of its own up to Spark 4.1: its jar may be anywhere. */
  private val avroFormat = "org.apache.spark.sql.avro.AvroFileFormat"
  private val avroTable = "org.apache.spark.sql.v2.avro.AvroTable"

  private val deltaIndex = "org.apache.spark.sql.delta.files.TahoeLogFileIndex"
  private val deltaRelations = "org.apache.spark.sql.delta.DeltaLog$"
  private val deltaFormat = "org.apache.spark.sql.delta.DeltaParquetFileFormat"

  /** Tables that report an id and a version by methods of these names on Spark 4.0, where `Table` has none. */
  private val versioned: Set[String] = Set("io.dlcache.DlcacheTable", "org.apache.iceberg.spark.source.SparkTable")

  def isFormat(format: Class[_ <: FileFormat]): Boolean =
    format.getName == avroFormat || formats(format.getName) && SparkClasses.isShipped(format)

  def isTable(table: FileTable): Boolean =
    (table.getClass.getName == avroTable || tables(table.getClass.getName) && SparkClasses.isShipped(table.getClass)) &&
      isFormat(table.fallbackFileFormat)

  /** Whether `index` gives the files that Spark itself has listed. */
  def isIndex(index: FileIndex): Boolean = index match {
    case _: PartitioningAwareFileIndex | _: CatalogFileIndex => SparkClasses.isShipped(index.getClass)
    case _ => false
  }

  /** Delta Lake by its classes: the version of its table says which rows there are, deletion vectors included. Its
    * relation is Spark's, or a class without a name that Delta makes of it.
    */
  def isDelta(files: HadoopFsRelation): Boolean =
    files.location.getClass.getName == deltaIndex && files.fileFormat.getClass.getName == deltaFormat &&
      (files.getClass == classOf[HadoopFsRelation] || files.getClass.getName.startsWith(deltaRelations))

  /** The id and the version that a table reports, by Spark's own interface: another method of these names may mean
    * anything. A table that gives null has none, and one that fails to say counts as one that has none.
    */
  def identity(table: Table): Option[(String, String)] = {
    val owner: Option[Class[_]] =
      if (Try(classOf[Table].getMethod("version")).isSuccess) Some(classOf[Table])
      else Some(table.getClass).filter(own => versioned(own.getName))
    def property(name: String) = owner.flatMap { of =>
      Try(Option(of.getMethod(name).invoke(table))).toOption.flatten.map(_.toString)
    }
    for (id <- property("id"); version <- property("version")) yield (id, version)
  }
}
