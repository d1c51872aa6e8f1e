package io.dlcache.read.raw

import java.util.NoSuchElementException

/** Goes through the row groups of a split. It holds one at a time, as Spark's own reader does.
  *
  * @param name of the shard, for errors
  */
final private[read] class RawGroups(
    columns: Seq[RawColumn],
    groups: IndexedSeq[RawGroup],
    input: RawInput,
    name: String
) extends AutoCloseable {

  /** Of the columns, in the row group that `row` is of. */
  val chunks: Array[RawChunk] = columns.map(new RawChunk(_, input, name)).toArray
  private var nextGroup = 0
  private var rows = 0
  private var until = 0

  /** The first of the rows that `advance` came to. */
  var row: Int = 0

  def hasNext: Boolean = until < rows || nextGroup < groups.size

  /** Goes on to the next rows of one row group, at most `most`, and returns how many they are. */
  def advance(most: Int): Int = {
    if (!hasNext) throw new NoSuchElementException(name)
    if (until == rows) load(groups(nextGroup))
    row = until
    until += math.min(most, rows - row)
    until - row
  }

  override def close(): Unit = input.close()

  private def load(group: RawGroup): Unit = {
    var i = 0
    while (i < chunks.length) {
      chunks(i).load(group.chunks(i), group.rows)
      i += 1
    }
    nextGroup += 1
    rows = group.rows
    until = 0
  }
}
