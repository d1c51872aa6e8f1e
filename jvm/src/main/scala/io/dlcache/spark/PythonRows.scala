package io.dlcache.spark

import java.lang.invoke.SerializedLambda

import scala.annotation.tailrec
import scala.collection.immutable.ArraySeq
import scala.reflect.ClassTag

import net.razorvine.pickle.Unpickler
import org.apache.spark.rdd.RDD

/** The rows of a PySpark `createDataFrame` of a list. Spark makes an RDD of them, but one whose elements lie pickled in
  * the driver and pass through nothing but Spark's own conversions. They can be had without a job.
  */
private[dlcache] object PythonRows {
  private val SerDe = "org/apache/spark/api/python/SerDeUtil$"

  /** @param command the pickled Python function on the way: the rows are Spark's only if it changes nothing
    * @param rows as the unpickler gives them
    */
  final case class Pickled(command: Array[Byte], rows: () => Iterator[Any])

  /** Some if each step of `rdd` is known. */
  def of(rdd: RDD[_]): Option[Pickled] =
    lineageOf(rdd) match {
      case Seq(applySchema, toRows, unpickle, python, batches)
          if isStep(applySchema, "org/apache/spark/sql/classic/SparkSession", "applySchemaToPythonRDD") &&
            isStep(toRows, SerDe, "toJavaArray") && isStep(unpickle, SerDe, "pythonToJava") =>
        for {
          function <- fieldOf(python, "org.apache.spark.api.python.PythonRDD", "func")
          command <- methodOf(function, "command").flatMap(allOf[Byte])
          data <- fieldOf(batches, "org.apache.spark.rdd.ParallelCollectionRDD", "data")
          pickled <- allOf[Array[Byte]](data)
        } yield Pickled(command.toArray, () => pickled.iterator.flatMap(rowsOf))
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

  /** Whether `rdd` applies a lambda of this method of Spark's to the rows or partitions of its parent. */
  private def isStep(rdd: RDD[_], owner: String, method: String): Boolean =
    stepOf(rdd).exists(lambda =>
      lambda.getImplClass == owner && lambda.getImplMethodName.matches(s"\\$$anonfun\\$$$method\\$$\\d+(\\$$adapted)?")
    )

  /** The lambda that a `MapPartitionsRDD` was made with, which Spark's `RDD` wraps in one of its own. */
  private[spark] def stepOf(rdd: RDD[_]): Option[SerializedLambda] =
    for {
      step <- fieldOf(rdd, "org.apache.spark.rdd.MapPartitionsRDD", "f")
      wrapper <- Lambdas.serialized(step)
      if wrapper.getImplClass == "org/apache/spark/rdd/RDD" && wrapper.getCapturedArgCount == 1
      lambda <- Lambdas.captured(wrapper).headOption.flatMap(Lambdas.serialized)
    } yield lambda

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
}
