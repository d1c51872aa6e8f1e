package io.dlcache.key

import scala.collection.mutable

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.error.DlcacheErrors
import io.dlcache.spark.PythonFunctions
import org.apache.spark.sql.catalyst.expressions.PythonFuncExpression

/** The Python functions of one plan: how each counts, and why a key that holds one is not durable.
  *
  * @param isPersisted whether the rows were made when the plan was persisted, from the functions as they were then
  */
final private[key] class PythonFunctionEncoder(plans: PlanEncoder, sources: PythonSources, isPersisted: Boolean) {
  import PythonFunctionEncoder._

  private val found = mutable.LinkedHashSet.empty[JsonNode]
  private val files = mutable.LinkedHashSet.empty[Digest]
  private val explained = mutable.HashSet.empty[Any]

  /** The functions that the key holds by their source, for the explanation. */
  def functions: Seq[JsonNode] = found.toSeq

  /** The states of the files that functions rest on. */
  def states: Seq[Digest] = files.toSeq

  /** Whether there is one. */
  def areUsed: Boolean = explained.nonEmpty

  /** Adds those of a persisted plan. */
  def include(inner: PythonFunctionEncoder): Unit = {
    found ++= inner.found
    files ++= inner.files
    explained ++= inner.explained
  }

  /** Records why the key is not durable, if it is not. */
  def explain(expression: PythonFuncExpression): Unit = {
    val name = expression.name
    explained += expression.func
    val source = PythonFunctions.commandOf(expression.func).flatMap(sources.of)
    if (sources.durable && source.isEmpty) throw DlcacheErrors.udfSourceUnknown(name)
    untraceable(source) match {
      case Some(why) => plans.becauseTraceless(Reason.untraceablePythonUdf(name, why))
      case None if !expression.udfDeterministic =>
        plans.becauseTraceless(Reason.nondeterministic(s"the Python function `$name`"))
      case None if !sources.durable => plans.because(Reason.pythonUdf(name, None))
      case None if !RowByRow(expression.evalType) =>
        plans.because(Reason.pythonUdf(
          name,
          Some("it gets batches of rows, which depend on how the rows are partitioned")
        ))
      case None if !isDurable(source) =>
        val why = source.flatMap(known => known.session.orElse(known.changed))
        plans.because(Reason.pythonUdf(name, why.orElse(Some("its source is not known"))))
      case None => ()
    }
  }

  /** Writes a function: by its source if that is known, else by its pickle and what it rests on.
    *
    * @param owner the operator or function that holds it
    * @param write writes the other fields that count
    */
  def encode(sink: DigestSink, function: Product, owner: String, write: Any => Unit): Unit = {
    val command = PythonFunctions.commandOf(function)
    val source = command.flatMap(sources.of)
    if (explained.add(function)) untraceable(source) match {
      case Some(why) => plans.becauseTraceless(Reason.untraceablePythonUdf(owner, why))
      case None => plans.because(Reason.pythonUdf(owner))
    }
    source.foreach { known =>
      files += known.state
      sink.string(known.digest).part(known.state)
    }
    if (isDurable(source)) {
      source.flatMap(_.source).foreach(sink.string("source").string(_))
      source.flatMap(_.described).foreach(found += _)
    } else command.foreach(sink.bytes('P', _))
    function.productElementNames.zip(function.productIterator).foreach {
      case ("pythonVer", version) => write(version)
      case ("pythonIncludes", names: java.util.List[_]) => names.forEach(write(_))
      case ("broadcastVars", broadcasts: java.util.List[_]) if !isDurable(source) => broadcasts.forEach(write(_))
      case _ => ()
    }
  }

  private def isDurable(source: Option[PythonSource]): Boolean =
    source.exists(known => known.source.isDefined && known.changed.isEmpty)

  private def untraceable(source: Option[PythonSource]): Option[String] = source match {
    case None => Some("only dlcache.cache in Python on classic Spark knows the modules that it rests on")
    case Some(known) => known.untraceable.orElse(if (isPersisted) known.changed else None)
  }
}

private[key] object PythonFunctionEncoder {

  /** Plain UDFs, without and with Arrow: each row's value depends on that row alone. */
  private val RowByRow = Set(100, 101)
}
