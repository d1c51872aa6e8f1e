package io.dlcache.key

import java.nio.file.{Files, Path}
import java.nio.file.attribute.FileTime

import org.apache.spark.sql.{DataFrame, KeyTestAccess, SparkSession}
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.delta.DeltaParquetFileFormat
import org.apache.spark.sql.delta.files.{PreparedDeltaFileIndex, TahoeLogFileIndex}
import org.apache.spark.sql.execution.datasources.{FileIndex, PartitionDirectory, PartitionedFile}
import org.apache.spark.sql.execution.datasources.text.TextFileFormat
import org.apache.spark.sql.sources.Filter
import org.apache.spark.sql.types.StructType

/** A file source is durable only if its format and its index are known classes. */
class KnownSourcesSuite extends KeySuite {

  test("a subclass of a known format is not durable") {
    val path = parquet("of-a-subclass")
    val read = spark.read.format(classOf[FilteringTextFormat].getName).load(path)
    assert(sessionBecause(read) == Set("unversioned-input"))
    assert(reasons(keyOf(read)).head.contains(classOf[FilteringTextFormat].getName))
    durable(spark.read.text(path))
  }

  test("an index of files that is not Spark's own is not durable") {
    val index = new ForeignFileIndex(Path.of(parquet("foreign-index")))
    assert(sessionBecause(KeyTestAccess.read(spark, index)) == Set("unversioned-input"))
    assert(sessionBecause(KeyTestAccess.read(spark, index, new DeltaParquetFileFormat)) == Set("unversioned-input"))
  }

  test("Delta Lake is read by its table's id and version, without listing its files") {
    val index = new TahoeLogFileIndex("table-1", 3)
    def leaf(version: Long) = KeyTestAccess.read(spark, index.copy(version = version), new DeltaParquetFileFormat)
    val before = durable(leaf(3))
    assert(durable(leaf(3)) == before)
    assert(durable(leaf(4)) != before)
    val other = KeyTestAccess.read(spark, index.copy(id = "table-2"), new DeltaParquetFileFormat)
    assert(durable(other) != before)
    val input = keyOf(leaf(3)).explanation.get("inputs").get(0)
    assert(input.get("provider").asText == "delta" && input.get("version").asText == "3")
  }

  test("Delta Lake's index with a format that is not Delta's, or under another name, is not durable") {
    val index = new TahoeLogFileIndex("table-1", 3)
    assert(sessionBecause(KeyTestAccess.read(spark, index)) == Set("unversioned-input"))
    val prepared = KeyTestAccess.read(spark, PreparedDeltaFileIndex(3), new DeltaParquetFileFormat)
    assert(sessionBecause(prepared) == Set("unversioned-input"))
  }

  test("the file behind an option counts like an input file") {
    val data = scratch.resolve("data.xml")
    Files.writeString(data, "<rows><row><a>1</a></row></rows>")
    val schema = scratch.resolve("row.xsd")
    def write(kind: String, time: Long): Unit = {
      Files.writeString(
        schema,
        s"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="row"><xs:complexType><xs:sequence>
           |<xs:element name="a" type="$kind"/></xs:sequence></xs:complexType></xs:element></xs:schema>""".stripMargin
      )
      Files.setLastModifiedTime(schema, FileTime.fromMillis(time)): Unit
    }
    def read(): DataFrame =
      spark.read.option("rowTag", "row").option("rowValidationXSDPath", schema.toString).schema("a string")
        .xml(data.toString)
    write("xs:integer", 1000)
    val before = durable(read())
    assert(durable(read()) == before)
    write("xs:boolean", 2000)
    assert(durable(read()) != before)
    Files.delete(schema)
    assert(sessionBecause(read()) == Set("unversioned-input"))
  }
}

/** As Spark's format of text, but a configuration decides which lines it gives. */
class FilteringTextFormat extends TextFileFormat {
  override def buildReader(
      session: SparkSession,
      dataSchema: StructType,
      partitionSchema: StructType,
      requiredSchema: StructType,
      filters: Seq[Filter],
      options: Map[String, String],
      conf: org.apache.hadoop.conf.Configuration
  ): PartitionedFile => Iterator[InternalRow] = {
    val keeps = session.conf.get("test.keeps.lines", "true").toBoolean
    val read = super.buildReader(session, dataSchema, partitionSchema, requiredSchema, filters, options, conf)
    file => read(file).filter(_ => keeps)
  }
}

final class ForeignFileIndex(directory: Path) extends FileIndex {
  override def rootPaths: Seq[org.apache.hadoop.fs.Path] = Seq(new org.apache.hadoop.fs.Path(directory.toUri))
  override def listFiles(partitions: Seq[Expression], data: Seq[Expression]): Seq[PartitionDirectory] = Nil
  override def inputFiles: Array[String] = Array.empty
  override def refresh(): Unit = ()
  override def sizeInBytes: Long = 0
  override def partitionSchema: StructType = new StructType()
}
