package io.dlcache.shard

/** The shapes of the rows of a list column that are not null. */
sealed private[dlcache] trait Shape extends Serializable {
  def merge(other: Shape): Shape = (this, other) match {
    case (Shape.Unseen, shape) => shape
    case (shape, Shape.Unseen) => shape
    case (a, b) => if (a == b) a else Shape.Mixed
  }
}

private[dlcache] object Shape {

  /** No row, or all null. */
  case object Unseen extends Shape
  final case class Uniform(dimensions: Seq[Int]) extends Shape
  case object Mixed extends Shape
}

/** What the writer saw of one column in some rows. Summaries of parts merge, in any grouping, to the summary of the whole.
  *
  * @param nulls rows that are null, or that a struct around the column makes null
  * @param nullElements null elements and null inner lists in rows that are not null
  * @param shape of list columns
  * @param lengths least and greatest, over rows that are not null: elements of one-dimensional lists, bytes of strings and
  *   binaries
  * @param numbers of columns whose values have a fixed width
  * @param classes of scalar integers, booleans and strings, if they are few
  */
final private[dlcache] case class ColumnSummary(
    rows: Long,
    nulls: Long,
    nullElements: Long,
    shape: Shape,
    lengths: Option[(Int, Int)],
    numbers: Option[Numbers],
    classes: Option[Classes]
) {
  def merge(other: ColumnSummary): ColumnSummary =
    if (other.rows == 0) this
    else if (rows == 0) other
    else {
      val merged = shape.merge(other.shape)
      ColumnSummary(
        rows + other.rows,
        nulls + other.nulls,
        nullElements + other.nullElements,
        merged,
        (lengths ++ other.lengths).reduceOption((a, b) => (a._1.min(b._1), a._2.max(b._2))),
        for (a <- numbers; b <- other.numbers) yield merged match {
          case Shape.Mixed => a.overall.merge(b.overall)
          case _ => a.merge(b)
        },
        for (a <- classes; b <- other.classes; sum <- a.merge(b)) yield sum
      )
    }
}

private[dlcache] object ColumnSummary {

  /** Of no rows. */
  val empty: ColumnSummary = ColumnSummary(0, 0, 0, Shape.Unseen, None, None, None)
}

/** Where a column chunk's values lie, in bytes from the start of the file: see docs/format.md.
  *
  * @param valuesOffset -1 if the chunk is not raw
  * @param valuesBytes 0 if the chunk is not raw
  * @param indexOffset -1 if the chunk has no row index
  */
final private[dlcache] case class ChunkSummary(valuesOffset: Long, valuesBytes: Long, indexOffset: Long) {
  def isRaw: Boolean = valuesOffset >= 0
}

private[dlcache] object ChunkSummary {
  val None: Long = -1L
  val NotRaw: ChunkSummary = ChunkSummary(None, 0, None)
}

/** What a closed shard is: all that the manifest needs to know of it.
  *
  * @param bytes length of the file
  * @param crc32 of all bytes of the file
  * @param rowGroupRows rows of each row group but the last
  * @param chunks by column, then by row group; None if no chunk of the column is raw
  * @param columns in the order of `ShardLayout.columns`
  */
final private[dlcache] case class ShardSummary(
    rows: Long,
    bytes: Long,
    crc32: Long,
    rowGroupRows: Int,
    chunks: Seq[Option[Seq[ChunkSummary]]],
    columns: Seq[ColumnSummary]
)
