package io.dlcache.key.fuzz

import java.nio.file.{Files, Path}
import java.util.Comparator

import scala.util.Random

import org.apache.spark.sql.SparkSession

/** Runs the fuzzer of plan keys: `make fuzz-keys`. */
object FuzzKeys {

  /** @param arguments seconds, the seed, and a text that the names of the queries contain; all optional */
  def main(arguments: Array[String]): Unit = {
    val seconds = arguments.lift(0).fold(60)(_.toInt)
    val seed = arguments.lift(1).filter(_.nonEmpty).fold(System.nanoTime)(_.toLong)
    val session = SparkSession.builder().appName("fuzz keys").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    val report =
      try run(
          session,
          seed,
          arguments.lift(2).getOrElse(""),
          arguments.lift(3).fold(Int.MaxValue)(_.toInt),
          println(_)
        )(_.seconds > seconds)
      finally session.stop()
    println(report.unbuilt.map { case (name, error) =>
      s"cannot analyze: $name: ${error.getMessage.take(200)}"
    }.mkString("\n"))
    println(report.summary)
    if (report.falseHits.nonEmpty || report.lost.nonEmpty) sys.exit(1)
  }

  /** In a session of its own, until `enough`. */
  private[fuzz] def run(
      session: SparkSession,
      seed: Long,
      part: String = "",
      examples: Int = Int.MaxValue,
      say: String => Unit = _ => ()
  )(
      enough: FuzzReport => Boolean
  ): FuzzReport = {
    val own = session.newSession()
    val root = Files.createTempDirectory("fuzz-keys-")
    try {
      val documented = new Random(seed).shuffle(ExpressionQueries.documented).take(examples)
      val corpus = (Corpus.of(Tables.create(own, root)) ++ documented).filter(_.name.contains(part))
      val fuzzer = new KeyFuzzer(own, corpus, seed, say)
      try fuzzer.run(enough)
      finally fuzzer.close()
    } finally Files.walk(root).sorted(Comparator.reverseOrder[Path]).forEach(path => Files.delete(path))
  }
}
