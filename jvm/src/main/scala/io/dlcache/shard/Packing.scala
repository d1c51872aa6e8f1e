package io.dlcache.shard

import java.util.Locale

import io.dlcache.error.DlcacheErrors
import org.apache.spark.sql.types._

/** Columns that are stored as one tensor column.
  *
  * @param name of the tensor column
  * @param columns in the order of its elements
  */
final private[dlcache] case class Pack(name: String, columns: Seq[String])

/** A pack whose columns were found.
  *
  * @param ordinals of its columns in the DataFrame's schema, in the order of its elements
  * @param values of these columns: stored alike, but they may come from different types
  */
final private[shard] case class Packed(pack: Pack, ordinals: Seq[Int], values: Seq[ValueType]) {
  def field: StructField =
    StructField(pack.name, ArrayType(values.head.dataType, containsNull = false), nullable = false)

  def column: LeafColumn =
    LeafColumn(
      Seq(pack.name),
      field.dataType,
      ColumnStrategy.Packed(values, pack.columns, ordinals).named(pack.name),
      None
    )
}

private[shard] object Packing {

  /** Finds the columns of `packs` among those of a DataFrame.
    *
    * @param columns each field as it would be stored, with how
    * @throws io.dlcache.error.DlcacheException `DLCACHE_INVALID_PACK`
    */
  def resolve(packs: Seq[Pack], columns: Seq[(StructField, LayoutNode)], caseSensitive: Boolean): Seq[Packed] = {
    def fold(name: String) = if (caseSensitive) name else name.toLowerCase(Locale.ROOT)
    val ordinals = columns.indices.map(i => fold(columns(i)._1.name) -> i).toMap
    def refuse(pack: Pack, column: String, reason: String): Nothing =
      throw DlcacheErrors.invalidPack(pack.name, column, reason)

    val found = packs.map { pack =>
      if (ordinals.contains(fold(pack.name)))
        refuse(pack, pack.name, "the DataFrame has a column of the pack's own name; give the pack another name")
      val members = pack.columns.map { name =>
        val ordinal = ordinals.getOrElse(fold(name), refuse(pack, name, "the DataFrame has no such column"))
        (columns(ordinal)._1.name, ordinal, number(pack, columns(ordinal)))
      }
      val (first, _, value) = members.head
      members.collectFirst {
        case (name, _, other) if other.dtype != value.dtype =>
          val types = s"it is stored as ${other.dtype}, and `$first` as ${value.dtype}"
          refuse(pack, name, s"$types; cast one of them, or make a pack for each type")
      }
      Packed(Pack(pack.name, members.map(_._1)), members.map(_._2), members.map(_._3))
    }
    val uses = for (packed <- found; (name, ordinal) <- packed.pack.columns.zip(packed.ordinals))
      yield (packed.pack, name, ordinal)
    uses.groupBy(_._3).values.find(_.size > 1).foreach(same => refuse(same.last._1, same.last._2, "it is packed twice"))
    packs.groupBy(pack => fold(pack.name)).values.find(_.size > 1).foreach { same =>
      refuse(same.last, same.last.columns.head, "another pack has this name, or one that differs by case only")
    }
    found
  }

  private def number(pack: Pack, column: (StructField, LayoutNode)): ValueType = column match {
    case (_, LeafColumn(_, _, ColumnStrategy.Scalar(value), _))
        if value.logical.isEmpty && value.stored != Stored.Bit =>
      value
    case (field, _) =>
      val reason =
        s"it is ${field.dataType.catalogString}, and a pack holds integers or floating point numbers; cast it"
      throw DlcacheErrors.invalidPack(pack.name, field.name, s"$reason, or leave it out of the pack")
  }
}
