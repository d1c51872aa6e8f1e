package io.dlcache.write

import io.dlcache.manifest.Manifest
import io.dlcache.shard.ClassNumbers
import org.apache.spark.sql.{Column, DataFrame}
import org.apache.spark.sql.functions.col
import org.apache.spark.sql.types._

/** Why columns do not fit those that are there. */
final private[dlcache] case class Mismatch(column: String, reason: String)

/** How the columns of a DataFrame fit those of a dataset or table that is there already. Pure. */
private[dlcache] object Alignment {

  /** For each column of `target` the position of the column in `data` that has its name. */
  def byName(target: StructType, data: StructType, caseSensitive: Boolean): Either[Mismatch, Seq[Int]] = {
    def isSame(a: String, b: String) = if (caseSensitive) a == b else a.equalsIgnoreCase(b)
    def position(name: String): Int = {
      val exact = data.fieldNames.indexOf(name)
      if (exact >= 0) exact else data.fieldNames.indexWhere(isSame(_, name))
    }
    val positions = target.fieldNames.toSeq.map(name => name -> position(name))
    positions.collectFirst { case (name, -1) => Mismatch(name, "is missing in the DataFrame") }.orElse {
      val used = positions.map(_._2).toSet
      data.fieldNames.indices.find(!used(_)).map(i => Mismatch(data.fieldNames(i), "is not in the dataset"))
    } match {
      case Some(mismatch) => Left(mismatch)
      case None => Right(positions.map(_._2))
    }
  }

  /** The columns of `data` at `positions`, under these names; `data` itself if that changes nothing. */
  def select(data: DataFrame, positions: Seq[Int], names: Seq[String]): DataFrame =
    if (positions == data.schema.indices && names == data.schema.fieldNames.toSeq) data
    else
      data.select(positions.zip(names).map { case (i, name) => column(data.schema.fieldNames(i)).as(name) }: _*)

  /** A column by its exact name, whatever characters that has. */
  def column(name: String): Column = col("`" + name.replace("`", "``") + "`")

  /** The first pack, by its name, that one of the two has and the other has not or has otherwise. */
  def packs(dataset: Seq[(String, Seq[String])], added: Seq[(String, Seq[String])]): Option[Mismatch] = {
    def text(pack: Option[Seq[String]]) = pack.fold("not there")(_.mkString("[", ", ", "]"))
    val (there, here) = (dataset.toMap, added.toMap)
    (dataset ++ added).map(_._1).find(name => there.get(name) != here.get(name)).map { name =>
      Mismatch(
        name,
        s"is a pack by the option 'pack': in the dataset ${text(there.get(name))}, here ${text(here.get(name))}"
      )
    }
  }

  /** The first column of `added`, in the dataset's order, that is not stored as the dataset stores it. */
  def appends(dataset: StructType, datasetUdts: Seq[Option[String]], added: StructType, addedUdts: Seq[Option[String]])
      : Option[Mismatch] =
    dataset.fields.toSeq
      .zip(added.fields)
      .collectFirst {
        case (there, here) if there.name != here.name =>
          Mismatch(here.name, s"is where the dataset has `${there.name}`")
        case (there, here) if bare(there.dataType) != bare(here.dataType) =>
          Mismatch(
            here.name,
            s"is stored as ${here.dataType.catalogString}, in the dataset as ${there.dataType.catalogString}"
          )
      }
      .orElse(Option.when(dataset.length != added.length) {
        val (more, where) =
          if (dataset.length > added.length) (dataset, "is missing in the DataFrame")
          else (added, "is not in the dataset")
        Mismatch(more.fieldNames(dataset.length.min(added.length)), where)
      })
      .orElse(datasetUdts.zip(addedUdts).zipWithIndex.collectFirst {
        case ((there, here), i) if there != here =>
          def kind(udt: Option[String]) = udt.fold("an array")(name => s"a vector of $name")
          Mismatch(columnName(added, i), s"is ${kind(here)}, in the dataset ${kind(there)}")
      })
      .orElse(classes(dataset, added))

  /** The first column whose values are class numbers in one of the two only, or of other classes. The added rows may come
    * without labels.
    */
  private def classes(dataset: StructType, added: StructType): Option[Mismatch] = {
    val (there, here) = (ClassNumbers.of(dataset).keySet, ClassNumbers.of(added).keySet)
    val (labelsThere, labelsHere) = (ClassNumbers.labels(dataset), ClassNumbers.labels(added))
    def few(labels: Seq[String]) = labels.take(3).mkString("", ", ", if (labels.size > 3) ", ..." else "")
    ((there -- here) ++ (here -- there)).headOption
      .map { path =>
        def kind(is: Boolean) = if (is) "class numbers of Spark ML" else "other numbers"
        Mismatch(path.mkString("."), s"has ${kind(here(path))}, in the dataset ${kind(there(path))}")
      }
      .orElse(labelsHere.collectFirst {
        case (path, labels) if labelsThere.get(path).exists(_ != labels) =>
          Mismatch(
            path.mkString("."),
            s"has the labels ${few(labels)}, in the dataset ${few(labelsThere(path))}: use the StringIndexerModel of the " +
              "dataset for these rows too"
          )
      })
  }

  /** The first column whose rows have one shape in `there`, and not in `appended`. */
  def shapes(there: Manifest, appended: Manifest): Option[Mismatch] = {
    def text(shape: Option[Seq[Int]]) = shape.fold("no shape")(_.mkString("[", ", ", "]"))
    there.columns.zip(appended.columns).collectFirst {
      case (before, after) if there.rows > 0 && before.shape.isDefined && before.shape != after.shape =>
        val why = if (after.nulls > 0 || after.nullElements > 0) "nulls" else "other lengths"
        Mismatch(
          before.name,
          s"has the shape ${text(before.shape)} in all rows of the dataset, and the new rows have $why: readers would " +
            "deliver rows of different lengths. Give the new rows this shape, or set the option 'ifShapeChanges' to " +
            "'allow', for tables in their OPTIONS or as spark.datasource.dlcache.ifShapeChanges"
        )
    }
  }

  /** A schema for the rows of both: what may be null in one may be null. Names and types are those of `there`. */
  def widen(there: StructType, added: StructType): StructType =
    StructType(there.fields.zip(added.fields).map { case (a, b) =>
      a.copy(dataType = widen(a.dataType, b.dataType), nullable = a.nullable || b.nullable)
    })

  /** The type without nullability and metadata: what decides how it is stored. */
  def bare(dataType: DataType): DataType = dataType match {
    case struct: StructType => StructType(struct.fields.map(f => StructField(f.name, bare(f.dataType))))
    case ArrayType(element, _) => ArrayType(bare(element))
    case MapType(key, value, _) => MapType(bare(key), bare(value))
    case other => other
  }

  /** Whether the schemas are the same but for `float` where the other has `double`: what the option `dtype` does. */
  def differInFloats(a: StructType, b: StructType): Boolean =
    bare(a) != bare(b) && withoutWidth(bare(a)) == withoutWidth(bare(b))

  private def withoutWidth(dataType: DataType): DataType = dataType match {
    case struct: StructType => StructType(struct.fields.map(f => f.copy(dataType = withoutWidth(f.dataType))))
    case ArrayType(element, nulls) => ArrayType(withoutWidth(element), nulls)
    case FloatType => DoubleType
    case other => other
  }

  private def widen(there: DataType, added: DataType): DataType = (there, added) match {
    case (a: StructType, b: StructType) => widen(a, b)
    case (ArrayType(a, nullsA), ArrayType(b, nullsB)) => ArrayType(widen(a, b), nullsA || nullsB)
    case (MapType(keyA, a, nullsA), MapType(keyB, b, nullsB)) =>
      MapType(widen(keyA, keyB), widen(a, b), nullsA || nullsB)
    case (a, _) => a
  }

  private def columnName(schema: StructType, leaf: Int): String =
    Manifest.leaves(schema)(leaf)._1.mkString(".")
}
