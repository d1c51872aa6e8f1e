package io.dlcache.key

import java.lang.invoke.SerializedLambda

import scala.util.Try

import io.dlcache.spark.Lambdas
import org.apache.spark.{SPARK_REVISION, SPARK_VERSION}

/** The functions that MLlib's transformers put into plans. Such a function has an identity in every JVM if it is a lambda
  * of MLlib's own code and what it captures are plain values: then it is its place in that code, for which this build of
  * Spark vouches, and the values. Everything else (the lambdas of users, lambdas that capture their transformer) has none.
  */
private[key] object MLlibFunctions {

  /** The identity of `function`, if it has one. */
  def digestOf(function: AnyRef): Option[Digest] = {
    var known = false
    val digest = Digest(sink => known = writeFunction(sink, function))
    Option.when(known)(digest)
  }

  /** Whether `function` is `VectorAssembler`'s: it takes a struct by position, and names its fields after its random uid. */
  def isAssembler(function: AnyRef): Boolean = Lambdas.serialized(function)
    .exists(lambda => lambda.getImplClass == Assembler && isMLlibs(lambda, function.getClass.getClassLoader))

  private def writeFunction(sink: DigestSink, function: AnyRef): Boolean =
    Lambdas.serialized(function).filter(isMLlibs(_, function.getClass.getClassLoader)).exists { lambda =>
      sink.string("mllib").string(SPARK_VERSION).string(SPARK_REVISION)
      sink.string(lambda.getFunctionalInterfaceClass).string(lambda.getImplClass)
      sink.string(lambda.getImplMethodName).string(lambda.getImplMethodSignature)
      writeAll(sink, 'a', Lambdas.captured(lambda))
    }

  /** Whether the code is in MLlib's jar: a package of that name may be anybody's. */
  private def isMLlibs(lambda: SerializedLambda, loader: ClassLoader): Boolean = {
    def sourceOf(name: String) = Class.forName(name, false, loader).getProtectionDomain.getCodeSource
    val name = lambda.getImplClass.replace('/', '.')
    Packages.exists(name.startsWith) &&
    Try(sourceOf(name) != null && sourceOf(name) == sourceOf(Transformers)).getOrElse(false)
  }

  private def writeAll(sink: DigestSink, kind: Char, values: Seq[Any]): Boolean = {
    sink.long(kind, values.length.toLong)
    values.forall(write(sink, _))
  }

  /** @return whether the value is of a kind that is known here */
  private def write(sink: DigestSink, value: Any): Boolean = value match {
    case null => known(sink.tag('0'))
    case value: Boolean => known(sink.long('z', if (value) 1 else 0))
    case value: Byte => known(sink.long('b', value.toLong))
    case value: Short => known(sink.long('h', value.toLong))
    case value: Char => known(sink.long('C', value.toLong))
    case value: Int => known(sink.long('i', value.toLong))
    case value: Long => known(sink.long('l', value))
    case value: Float => known(sink.long('f', java.lang.Float.floatToRawIntBits(value).toLong))
    case value: Double => known(sink.long('d', java.lang.Double.doubleToRawLongBits(value)))
    case value: String => known(sink.string(value))
    case values: Array[_] => writeAll(sink.string(values.getClass.getName), 'q', values.toSeq)
    case Some(value) => write(sink.tag('S'), value)
    case None => known(sink.tag('N'))
    case (key, value) => writeAll(sink, 't', Seq(key, value))
    case values: scala.collection.Seq[_] => writeAll(sink.string("seq"), 'q', values.toSeq)
    case values: Iterable[_] if HashMap.matches(values.getClass.getName) => writeUnordered(sink, values)
    case value: AnyRef if Vectors(value.getClass.getName) => writeFields(sink, value)
    case function: AnyRef => writeFunction(sink, function)
    case _ => false
  }

  private def writeUnordered(sink: DigestSink, values: Iterable[Any]): Boolean = {
    var all = true
    val digests = values.iterator.map(value => Digest(part => all = write(part, value) && all)).toSeq.sorted
    sink.long('u', digests.length.toLong)
    digests.foreach(sink.part)
    all
  }

  /** Vectors and matrices are their fields. */
  private def writeFields(sink: DigestSink, value: AnyRef): Boolean = {
    val fields = value.getClass.getDeclaredFields.filterNot(_.isSynthetic).sortBy(_.getName).toSeq
    fields.foreach(_.setAccessible(true))
    writeAll(sink.string(value.getClass.getName), 'v', fields.map(_.get(value)))
  }

  private def known(written: DigestSink): Boolean = { val _ = written; true }

  private val Packages = Seq("org.apache.spark.ml.", "org.apache.spark.sql.ml.")
  private val Assembler = "org/apache/spark/ml/feature/VectorAssembler"
  private val Transformers = "org.apache.spark.ml.Transformer"

  /** Also where it is specialized for a type of numbers. */
  private val HashMap = "org\\.apache\\.spark\\.util\\.collection\\.OpenHashMap(\\$mc.*)?".r
  private val Vectors = for {
    library <- Set("ml", "mllib")
    kind <- Seq("DenseVector", "SparseVector", "DenseMatrix", "SparseMatrix")
  } yield s"org.apache.spark.$library.linalg.$kind"
}
