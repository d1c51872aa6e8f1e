package io.dlcache.spark

import java.nio.ByteBuffer
import java.nio.ByteOrder.LITTLE_ENDIAN
import java.nio.charset.StandardCharsets.UTF_8

import scala.annotation.tailrec
import scala.collection.immutable.ArraySeq
import scala.reflect.ClassTag

import net.razorvine.pickle.Unpickler
import org.apache.spark.rdd.RDD

/** The rows of a PySpark `createDataFrame` of a list. Spark makes an RDD of them, but one whose elements lie pickled in
  * the driver and pass through nothing but Spark's own conversions. They can be had without a job.
  */
private[dlcache] object PythonRows {

  /** The rows, as the unpickler gives them, if `rdd` is such an RDD for certain: each of its steps must be known, and the
    * Python function on the way must be the one that changes nothing.
    */
  def of(rdd: RDD[_]): Option[() => Iterator[Any]] =
    lineageOf(rdd) match {
      case Seq(applySchema, toRows, unpickle, python, batches)
          if isStep(applySchema, "MapPartitionsRDD", "applySchemaToPythonRDD at ") &&
            isStep(toRows, "MapPartitionsRDD", "map at SerDeUtil.scala:") &&
            isStep(unpickle, "MapPartitionsRDD", "mapPartitions at SerDeUtil.scala:") &&
            isPickledList(batches) =>
        for {
          function <- fieldOf(python, "org.apache.spark.api.python.PythonRDD", "func")
          command <- methodOf(function, "command").flatMap(allOf[Byte])
          if isIdentity(command.toArray)
          data <- fieldOf(batches, "org.apache.spark.rdd.ParallelCollectionRDD", "data")
          pickled <- allOf[Array[Byte]](data)
        } yield () => pickled.iterator.flatMap(rowsOf)
      case _ => None
    }

  /** None if an element is of another kind: rows that are left out here would be missing in the key. */
  private[dlcache] def allOf[A: ClassTag](data: Any): Option[Seq[A]] = data match {
    case elements: collection.Seq[_] =>
      val known = elements.iterator.collect { case element: A => element }.toArray
      Option.when(known.length == elements.length)(ArraySeq.unsafeWrapArray(known))
    case _ => None
  }

  private def lineageOf(rdd: RDD[_]): Seq[RDD[_]] = {
    @tailrec
    def parents(rdd: RDD[_], found: List[RDD[_]]): List[RDD[_]] = rdd.dependencies match {
      case Seq(one) if found.length < 5 => parents(one.rdd, rdd :: found)
      case _ => rdd :: found
    }
    parents(rdd, Nil).reverse
  }

  private def isStep(rdd: RDD[_], kind: String, site: String): Boolean =
    rdd.getClass.getName == s"org.apache.spark.rdd.$kind" && rdd.toString.contains(s" at $site")

  private def isPickledList(rdd: RDD[_]): Boolean =
    isStep(rdd, "ParallelCollectionRDD", "readRDDFromFile at ") ||
      isStep(rdd, "ParallelCollectionRDD", "readRDDFromInputStream at ")

  private[spark] def fieldOf(target: AnyRef, className: String, name: String): Option[AnyRef] =
    target.getClass.getDeclaredFields
      .find(field => target.getClass.getName == className && field.getName == name)
      .flatMap { field =>
        field.setAccessible(true)
        Option(field.get(target))
      }

  private def methodOf(target: AnyRef, name: String): Option[AnyRef] =
    target.getClass.getMethods.find(method => method.getName == name && method.getParameterCount == 0).map { method =>
      method.setAccessible(true)
      method.invoke(target)
    }

  private def rowsOf(batch: Array[Byte]): Iterator[Any] =
    new Unpickler().loads(batch) match {
      case rows: java.util.Collection[_] => rows.toArray.iterator
      case rows: Array[_] => rows.iterator
      case row => Iterator(row)
    }

  /** Whether the pickled function is what PySpark uses to put rows into other batches, `lambda x: x`. Whatever else it
    * were, its pickle would name it: another file, another function, a module.
    */
  private[spark] def isIdentity(command: Array[Byte]): Boolean =
    Pickle.strings(command).exists { strings =>
      strings.contains("RDD._reserialize.<locals>.<lambda>") && strings.forall { text =>
        IdentityStrings(text) || SourceFile.matches(text) || Attribute.matches(text)
      }
    }

  private val SourceFile = ".*/pyspark/(core/)?rdd\\.py".r
  private val Attribute = "__[a-z_]+__".r

  private val IdentityStrings: Set[String] = Set(
    "<lambda>",
    "AutoBatchedSerializer",
    "BatchedSerializer",
    "CPickleSerializer",
    "CloudPickleSerializer",
    "CodeType",
    "Iterable",
    "RDD._reserialize.<locals>.<lambda>",
    "RDD.map.<locals>.func",
    "T",
    "U",
    "_",
    "_builtin_type",
    "_cloudpickle_submodules",
    "_function_setstate",
    "_make_cell",
    "_make_empty_cell",
    "_make_function",
    "_operator",
    "allowed_names",
    "batchSize",
    "bestSize",
    "builtins",
    "f",
    "fail_on_stopiteration",
    "func",
    "getattr",
    "getitem",
    "int",
    "iterator",
    "map",
    "pyspark",
    "pyspark.cloudpickle.cloudpickle",
    "pyspark.core",
    "pyspark.core.rdd",
    "pyspark.rdd",
    "pyspark.serializers",
    "pyspark.util",
    "return",
    "serializer",
    "subimport",
    "typing",
    "x"
  )
}

/** As much of the pickle format as it takes to see every string in a pickle. */
private[spark] object Pickle {
  private val NoArgument = "(.012NQRabd}el]ostu)".map(_.toInt).toSet ++
    Set(0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94)
  private val FixedArgument: Map[Int, Int] =
    Map('K' -> 1, 'h' -> 1, 'q' -> 1, 'M' -> 2, 'J' -> 4, 'j' -> 4, 'r' -> 4, 'G' -> 8)
      .map { case (code, size) => code.toInt -> size } ++ Map(0x80 -> 1, 0x95 -> 8)

  /** Codes with bytes behind them, and the size of their length. */
  private val BytesArgument: Map[Int, Int] = Map('C'.toInt -> 1, 'B'.toInt -> 4, 0x8a -> 1)
  private val StringArgument: Map[Int, Int] = Map(0x8c -> 1, 'X'.toInt -> 4)
  private val Stop = '.'.toInt

  /** All strings in order; none if the pickle holds something else than expected, or is cut short. */
  def strings(pickle: Array[Byte]): Option[Seq[String]] = {
    val input = ByteBuffer.wrap(pickle).order(LITTLE_ENDIAN)
    val found = Seq.newBuilder[String]

    def take(size: Int): Option[Array[Byte]] =
      Option.when(size >= 0 && size <= input.remaining) {
        val bytes = new Array[Byte](size)
        input.get(bytes)
        bytes
      }
    def takeWithLength(size: Int): Option[Array[Byte]] =
      if (input.remaining < size) None else take(if (size == 1) input.get() & 0xff else input.getInt())

    @tailrec
    def step(): Boolean =
      input.hasRemaining && {
        val code = input.get() & 0xff
        val known =
          if (NoArgument(code)) true
          else if (FixedArgument.contains(code)) take(FixedArgument(code)).isDefined
          else if (BytesArgument.contains(code)) takeWithLength(BytesArgument(code)).isDefined
          else if (StringArgument.contains(code))
            takeWithLength(StringArgument(code)).map(bytes => found += new String(bytes, UTF_8)).isDefined
          else false
        if (!known) false else if (code == Stop) !input.hasRemaining else step()
      }

    Option.when(step())(found.result())
  }
}
