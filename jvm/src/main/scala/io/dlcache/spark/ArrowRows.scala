package io.dlcache.spark

import java.nio.ByteBuffer
import java.nio.ByteOrder.LITTLE_ENDIAN

import org.apache.arrow.flatbuf.{Message, RecordBatch}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.types.StructType

/** The rows of a PySpark `createDataFrame` of Arrow or pandas data that is too large for the plan: Spark makes an RDD of
  * them, whose elements are Arrow batches that lie in the driver and pass through nothing but Spark's own conversion.
  */
private[dlcache] object ArrowRows {
  private val Converters = "org/apache/spark/sql/execution/arrow/ArrowConverters$"

  /** The batches as they were sent to Spark.
    *
    * @param settings of the conversion
    * @param rows of all batches
    */
  final case class Batches(settings: Seq[String], batches: Seq[Array[Byte]], rows: Long)

  /** Some if `rdd` is such an RDD for certain. */
  def of(rdd: RDD[_]): Option[Batches] = rdd.dependencies match {
    case Seq(one) =>
      for {
        conversion <- PythonRows.stepOf(rdd) if conversion.getImplClass == Converters
        settings <- settingsOf(Lambdas.captured(conversion))
        data <- PythonRows.fieldOf(one.rdd, "org.apache.spark.rdd.ParallelCollectionRDD", "data")
        batches <- PythonRows.allOf[Array[Byte]](data)
      } yield Batches(conversion.getImplMethodName +: settings, batches, batches.map(rowsOf).sum)
    case _ => None
  }

  private def settingsOf(captured: Seq[AnyRef]): Option[Seq[String]] = {
    val known = captured.collect {
      case schema: StructType => schema.json
      case text: String => text
      case flag: java.lang.Boolean => flag.toString
    }
    Option.when(known.length == captured.length)(known)
  }

  /** A batch is an encapsulated message: a marker, the length of the metadata, the metadata. */
  private def rowsOf(batch: Array[Byte]): Long = {
    val message = ByteBuffer.wrap(batch).order(LITTLE_ENDIAN)
    message.position(if (message.getInt(0) == -1) 8 else 4)
    Message.getRootAsMessage(message).header(new RecordBatch) match {
      case header: RecordBatch => header.length
      case _ => 0
    }
  }
}
