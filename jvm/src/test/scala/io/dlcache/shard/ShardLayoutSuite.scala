package io.dlcache.shard

import io.dlcache.error.DlcacheException
import org.apache.spark.ml.linalg.SQLDataTypes.{MatrixType, VectorType}
import org.apache.spark.sql.types._
import org.scalatest.funsuite.AnyFunSuite

class ShardLayoutSuite extends AnyFunSuite {
  private def schema(ddl: String): StructType = StructType.fromDDL(ddl)

  private def refused(schema: StructType): Map[String, String] = {
    val error = intercept[DlcacheException](ShardLayout.of(schema, None))
    assert(error.getCondition == "DLCACHE_UNSUPPORTED_COLUMN")
    val parameters = error.getMessageParameters
    Map("column" -> parameters.get("column"), "reason" -> parameters.get("reason"))
  }

  private def one(dataType: DataType): StructType = new StructType().add("c", dataType)

  test("columns are the leaves that are reached through structs only") {
    val layout =
      ShardLayout.of(schema("a int, s struct<b: string, t: struct<c: array<float>>>, m map<int, struct<d: int>>"), None)
    assert(layout.columns.map(_.path) == Seq(Seq("a"), Seq("s", "b"), Seq("s", "t", "c"), Seq("m")))
    assert(layout.columns.map(_.structs) == Seq(0, 1, 2, 0))
    assert(layout.columns.last.strategy == ColumnStrategy.Nested)
  }

  test("dtype casts floating scalars, arrays, vectors and struct leaves, and nothing else") {
    val source = schema(
      "d double, f float, a array<array<double>>, s struct<x: double>, i int, n decimal(5,2), m map<int, double>, z array<struct<x: double>>"
    )
      .add("v", VectorType)
    val layout = ShardLayout.of(source, Some(FloatDtype.Float32))
    assert(layout.schema == schema(
      "d float, f float, a array<array<float>>, s struct<x: float>, i int, n decimal(5,2), m map<int, double>, z array<struct<x: double>>"
    )
      .add("v", ArrayType(FloatType, containsNull = false)))
    assert(layout.columns.last.udt.contains("ml"))
    val wide = ShardLayout.of(schema("f float, a array<float>"), Some(FloatDtype.Float64)).schema
    assert(wide == schema("f double, a array<double>"))
    assert(ShardLayout.of(source, None).schema("v").dataType == ArrayType(DoubleType, containsNull = false))
  }

  test("names, nullability and metadata of the schema stay; char and varchar are strings") {
    val metadata = new MetadataBuilder().putString("comment", "c").build()
    val source =
      new StructType().add("a", IntegerType, nullable = false, metadata).add("b", CharType(3)).add("c", VarcharType(3))
    assert(ShardLayout.of(source, None).schema ==
      new StructType().add("a", IntegerType, nullable = false, metadata).add("b", StringType).add("c", StringType))
    val collated = schema("c string collate UTF8_LCASE")
    assert(ShardLayout.of(collated, None).schema == collated)
  }

  test("the Parquet schema is what Spark writes") {
    val parquet = ShardLayout.of(
      schema("a array<float>, m map<string, int>, d decimal(5,2), e decimal(20,2), t timestamp, b byte"),
      None
    ).message
    assert(parquet.toString ==
      """message spark_schema {
        |  optional group a (LIST) {
        |    repeated group list {
        |      optional float element;
        |    }
        |  }
        |  optional group m (MAP) {
        |    repeated group key_value {
        |      required binary key (STRING);
        |      optional int32 value;
        |    }
        |  }
        |  optional int32 d (DECIMAL(5,2));
        |  optional fixed_len_byte_array(9) e (DECIMAL(20,2));
        |  optional int64 t (TIMESTAMP(MICROS,true));
        |  optional int32 b (INTEGER(8,true));
        |}
        |""".stripMargin)
  }

  test("what cannot be stored is refused with its path") {
    assert(refused(new StructType())("column") == "*")
    assert(refused(one(CalendarIntervalType))("column") == "c")
    assert(refused(one(VariantType))("column") == "c")
    assert(refused(one(MatrixType))("reason").contains("user-defined"))
    assert(refused(one(new StructType()))("reason").contains("no fields"))
    assert(refused(one(ArrayType(new StructType())))("column") == "c.element")
    assert(refused(one(new StructType().add(
      "x",
      new StructType().add("y", CalendarIntervalType)
    )))("column") == "c.x.y")
    assert(refused(one(MapType(StringType, VariantType)))("column") == "c.value")
  }

  test("vectors are stored at the top only") {
    Seq(
      ArrayType(VectorType) -> "c.element",
      MapType(IntegerType, VectorType) -> "c.value",
      new StructType().add("v", VectorType) -> "c.v"
    )
      .foreach { case (dataType, column) =>
        val parameters = refused(one(dataType))
        assert(parameters("column") == column && parameters("reason").contains("top level"))
      }
  }

  test("names that Spark cannot tell apart are refused") {
    assert(refused(schema("a int").add("a", StringType))("column") == "a")
    assert(refused(schema("a int, A int"))("column") == "a")
    assert(refused(schema("s struct<x: int>").add("t", ArrayType(schema("x int, X int"))))("column") == "t.element.x")
    assert(ShardLayout.of(schema("a int, A int"), None, caseSensitive = true).columns.size == 2)
    intercept[DlcacheException](ShardLayout.of(schema("a int").add("a", StringType), None, caseSensitive = true))
  }

  test("a layout is serializable") {
    val layout = ShardLayout.of(schema("a array<decimal(5,2)>, b string, c struct<d: map<int,int>>"), None)
    val bytes = new java.io.ByteArrayOutputStream
    new java.io.ObjectOutputStream(bytes).writeObject(layout)
    val copy = new java.io.ObjectInputStream(new java.io.ByteArrayInputStream(bytes.toByteArray)).readObject()
    assert(copy.asInstanceOf[ShardLayout].schema == layout.schema)
  }
}
