package io.dlcache.shard.buffer

import java.util.Arrays

import io.dlcache.shard.file.ShardFile
import io.dlcache.shard._
import org.apache.parquet.column.ColumnDescriptor
import org.apache.spark.sql.catalyst.expressions.{SpecializedGetters, UnsafeArrayData}
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.unsafe.Platform

/** Lists of values of fixed width, `depth` of them inside one another. The values of all rows lie one after another, and
  * the lengths of the lists beside them, for each depth; levels are made when the page is written.
  *
  * A null list has the length `-1 - level`, with the definition level that says so.
  */
private[shard] class ListBuffer(
    column: LeafColumn,
    value: ValueType,
    depth: Int,
    descriptor: ColumnDescriptor,
    limits: RowGroupLimits
) extends ColumnBuffer {
  final protected val copy: ValueCopy = value.copy
  final protected val width: Long = copy.width.toLong
  final protected val values = new GrowableBytes(limits, column.name)
  final private val lengths = Array.fill(depth)(new Runs)
  // One for each element that is null or not; empty while no element is null.
  final private val elementNulls = new Runs
  final private var hasNullElements = false
  final private var nullElements = 0L
  final private var nulls = 0
  // What the page counts: elements, null or not, and lists and rows without any.
  final private var pageValues = 0L
  // The shape of the rows so far: -1 where none was seen.
  final private val shape = Array.fill(depth)(-1)
  final private var isUniform = true
  final private var total = ColumnSummary.empty

  override def add(row: SpecializedGetters, ordinal: Int): Long =
    if (row.isNullAt(ordinal)) addNull(column.structs)
    else addList(row.getArray(ordinal), 0)

  final override def addNull(definition: Int): Long = {
    nulls += 1
    addEmpty(-1 - definition, 0)
  }

  /** Takes the list `array`, which has `level` lists around it. */
  final protected def addList(array: ArrayData, level: Int): Long = {
    val count = array.numElements()
    var bytes = addLength(count, level)
    if (level == depth - 1) bytes += addValues(array, count)
    else {
      bytes += 1
      var i = 0
      while (i < count) {
        if (array.isNullAt(i)) {
          nullElements += 1
          isUniform = false
          bytes += addEmpty(-1 - (column.structs + 2 * (level + 1)), level + 1)
        } else bytes += addList(array.getArray(i), level + 1)
        i += 1
      }
    }
    bytes
  }

  /** Takes a list that is null, by its code, and returns by how much that grew the buffer. */
  private def addEmpty(code: Int, level: Int): Long = {
    addPageValues(1)
    1 + lengths(level).append(code)
  }

  /** Takes the length of a list, and returns by how much that grew the buffer. */
  final protected def addLength(count: Int, level: Int): Long = {
    if (count == 0) addPageValues(1) else if (level == depth - 1) addPageValues(count)
    if (shape(level) != count) {
      if (shape(level) < 0) shape(level) = count else isUniform = false
    }
    lengths(level).append(count)
  }

  private def addPageValues(count: Int): Unit = {
    pageValues += count
    values.requireRoom(pageValues)
  }

  /** Notes that `count` values which are not null were put into `values`, and returns by how much that grew the buffer. */
  final protected def addedValues(count: Int): Long =
    count * width + 4 + (if (hasNullElements) elementNulls.append(0, count) else 0)

  private def addValues(array: ArrayData, count: Int): Long = array match {
    case unsafe: UnsafeArrayData if !ListBuffer.hasNull(unsafe, count) =>
      val header = UnsafeArrayData.calculateHeaderPortionInBytes(count.toLong)
      val at = values.append(count * width)
      copy.all(unsafe.getBaseObject, unsafe.getBaseOffset + header, count, values.data, at)
      addedValues(count)
    case _ =>
      var bytes = 4L
      var i = 0
      while (i < count) {
        if (array.isNullAt(i)) bytes += addNullElement()
        else {
          val at = values.append(width)
          copy.one(array, i, values.data, at)
          bytes += width
          if (hasNullElements) bytes += elementNulls.append(0)
        }
        i += 1
      }
      bytes
  }

  private def addNullElement(): Long = {
    if (!hasNullElements) {
      hasNullElements = true
      elementNulls.append(0, (values.size / width).toInt): Unit
    }
    nullElements += 1
    isUniform = false
    1 + elementNulls.append(1)
  }

  final override def flush(file: ShardFile, rows: Int): ChunkSummary = {
    val count = (values.size / width).toInt
    val isTensor = isUniform && nulls == 0 && shape.forall(_ >= 1)
    val elements = if (isTensor) count / rows else 0
    val scan =
      if (isTensor && elements <= NumberScan.MaxElements)
        NumberScan.elements(values.data, values.from, rows, elements, value.stored, total.numbers)
      else NumberScan.all(values.data, values.from, count, value.stored, total.numbers)
    total = total.merge(
      ColumnSummary(rows.toLong, nulls.toLong, nullElements, rowShape(isTensor), rowLengths, Some(scan.numbers), None)
    )
    val repetition = new LevelEncoder(depth, limits, column.name)
    val definition = new LevelEncoder(column.structs + 2 * depth + 1, limits, column.name)
    if (isTensor) {
      repetition.repeatPattern(rows.toLong)(repeatShape(_, 0, 0))
      definition.repeat(column.structs + 2 * depth + 1, count.toLong)
    } else new Levels(repetition, definition).write(rows)
    val raw = if (depth == 1) nulls == 0 && nullElements == 0 else isTensor
    val page = ColumnBuffer.page(
      values,
      value.stored,
      ColumnBuffer.levels(values, Some(repetition), definition),
      pageValues.toInt,
      scan.range.statistics(descriptor.getPrimitiveType, pageValues - count),
      raw,
      if (hasIndex && raw) Some(index(rows)) else None
    )
    val chunk = file.write(descriptor, page, rows)
    clear()
    chunk
  }

  /** Leaves room for the levels, which are a few bytes for each row. */
  final override def reserve(times: Double): Unit = {
    val size = (values.size * times).toLong
    values.reserve(size, math.min((lengths(0).size * times * ListBuffer.LevelBytes).toLong, size / 16))
  }

  final override def summary: ColumnSummary = total

  /** Rows of one dimension may have another length in the next row group or shard. */
  protected def hasIndex: Boolean = depth == 1

  private def clear(): Unit = {
    values.clear()
    lengths.foreach(_.clear())
    elementNulls.clear()
    hasNullElements = false
    nullElements = 0
    nulls = 0
    pageValues = 0
    Arrays.fill(shape, -1)
    isUniform = true
  }

  private def rowShape(isTensor: Boolean): Shape =
    if (shape(0) < 0) Shape.Unseen
    else if (isTensor || isUniform && depth == 1) Shape.Uniform(shape.toSeq)
    else if (isUniform && shape.forall(_ >= 1)) Shape.Uniform(shape.toSeq)
    else Shape.Mixed

  private def rowLengths: Option[(Int, Int)] =
    if (depth > 1 || shape(0) < 0) None
    else {
      var least = Int.MaxValue
      var greatest = 0
      lengths(0).foreach { (length, _) =>
        if (length >= 0) {
          least = math.min(least, length)
          greatest = math.max(greatest, length)
        }
      }
      Some((least, greatest))
    }

  /** The number of elements before each row, and after the last. */
  private def index(rows: Int): Array[Int] = {
    val starts = new Array[Int](rows + 1)
    var row = 0
    lengths(0).foreach { (length, times) =>
      var i = 0
      while (i < times) {
        starts(row + 1) = starts(row) + length
        row += 1
        i += 1
      }
    }
    starts
  }

  /** The repetition levels of one row of the shape that all rows have; the first value gets the level `first`. */
  private def repeatShape(repetition: LevelEncoder, level: Int, first: Int): Unit =
    if (level == depth - 1) {
      repetition.repeat(first, 1)
      repetition.repeat(depth, shape(level) - 1L)
    } else {
      var i = 0
      while (i < shape(level)) {
        repeatShape(repetition, level + 1, if (i == 0) first else level + 1)
        i += 1
      }
    }

  /** Makes the levels of rows of any shape. */
  final private class Levels(repetition: LevelEncoder, definition: LevelEncoder) {
    private val cursors = lengths.map(_.cursor)
    private val nullCursor = elementNulls.cursor

    def write(rows: Int): Unit = {
      var i = 0
      while (i < rows) {
        list(0, 0)
        i += 1
      }
    }

    private def list(level: Int, first: Int): Unit = {
      val length = cursors(level).next()
      if (length < 0) entry(first, -1 - length)
      else if (length == 0) entry(first, column.structs + 2 * level + 1)
      else if (level < depth - 1) {
        var i = 0
        while (i < length) {
          list(level + 1, if (i == 0) first else level + 1)
          i += 1
        }
      } else {
        repetition.repeat(first, 1)
        repetition.repeat(depth, length - 1L)
        if (hasNullElements) {
          var i = 0
          while (i < length) {
            definition.repeat(column.structs + 2 * depth + 1 - nullCursor.next(), 1)
            i += 1
          }
        } else definition.repeat(column.structs + 2 * depth + 1, length.toLong)
      }
    }

    private def entry(repetitionLevel: Int, definitionLevel: Int): Unit = {
      repetition.repeat(repetitionLevel, 1)
      definition.repeat(definitionLevel, 1)
    }
  }
}

private[shard] object ListBuffer {

  /** Of the levels of a row of numbers, about. */
  private val LevelBytes = 8

  /** Whether one of the first `count` bits of the null words behind the element count is set. */
  private def hasNull(array: UnsafeArrayData, count: Int): Boolean = {
    val words = (count + 63) / 64
    var i = 0
    while (i < words) {
      if (Platform.getLong(array.getBaseObject, array.getBaseOffset + 8 + 8L * i) != 0) return true
      i += 1
    }
    false
  }
}
