package io.dlcache

import io.dlcache.error.DlcacheException
import org.apache.logging.log4j.{Level, LogManager}
import org.apache.logging.log4j.core.{LogEvent, Logger}
import org.apache.logging.log4j.core.appender.AbstractAppender
import org.apache.logging.log4j.core.config.{Configurator, Property}
import org.apache.spark.ml.linalg.Vectors
import org.apache.spark.sql.functions.{array, col, lit, struct}
import org.scalatest.funsuite.AnyFunSuite

/** What float32 does not hold. */
class WriteNarrowingSuite extends AnyFunSuite with WriteTest {

  private val columns = Seq("x", "a", "n", "s.y")

  private def rows(value: Double) = spark
    .range(3)
    .toDF("id")
    .select(
      lit(value).as("x"),
      array(lit(0.5), lit(value)).as("a"),
      array(array(lit(value), lit(null).cast("double"))).as("n"),
      struct(lit(value).as("y")).as("s")
    )

  private def write(data: org.apache.spark.sql.DataFrame, options: (String, String)*): String = {
    val path = newPath()
    data.write.format("dlcache").options(Map("dtype" -> "float32") ++ options).save(path)
    path
  }

  private def cause(error: Throwable): DlcacheException =
    Iterator.iterate(error)(_.getCause).takeWhile(_ != null).collectFirst { case e: DlcacheException => e }.get

  test("a finite number that would be infinite is an error that names the column and the value") {
    columns.foreach { column =>
      val path = newPath()
      val data = rows(1e300).select(col(column).as("c"))
      val e = cause(intercept[Exception](data.write.format("dlcache").option("dtype", "float32").save(path)))
      assert(e.getCondition == "DLCACHE_VALUE_TOO_LARGE")
      assert(e.getMessageParameters.get("column") == "c" && e.getMessageParameters.get("value") == "1.0E300")
      assert(!store(path).exists() && files(path).isEmpty)
    }
    val packed = rows(-1e39).selectExpr("x", "x AS y")
    assert(cause(intercept[Exception](write(packed, "pack" -> """{"p": ["x", "y"]}"""))).getMessage.contains("`p`"))
    val vectors = spark
      .createDataFrame(Seq((Vectors.dense(1e300), 0), (Vectors.sparse(3, Array(1), Array(1e300)), 1))).toDF("v", "id")
    assert(cause(intercept[Exception](write(vectors))).getMessage.contains("`v`"))
  }

  test("infinities and NaN are what they are, and the greatest float32 is in range") {
    Seq(Double.PositiveInfinity, Double.NegativeInfinity, Double.NaN, Float.MaxValue.toDouble).foreach { value =>
      val found = read(write(rows(value))).select("x").head().getFloat(0)
      assert(found == value.toFloat || value.isNaN && found.isNaN)
    }
    assert(read(write(rows(1e300), "dtype" -> "float64")).head().getDouble(0) == 1e300)
  }

  test("whole numbers that are rounded are counted in one warning, others are not") {
    val warned = warnings(write(rows(16777217.0)): Unit)
    assert(warned.size == 1)
    columns.foreach(column => assert(warned.head.contains(s"`$column` (3)"), warned.head))
    Seq(16777216.0, -16777218.0, 0.1, 16777217.5, 1e30.toFloat.toDouble).foreach { value =>
      assert(warnings(write(rows(value)): Unit).isEmpty, value)
    }
    assert(warnings(write(rows(16777217.0), "dtype" -> "source"): Unit).isEmpty)
  }

  test("all values that are rounded are counted in one line of the log") {
    val values = Seq("0.1D", "0.5D", "double('NaN')", "double('Infinity')", "-0.0D", "16777217D", "null")
    val data = spark.sql(values.map(value => s"SELECT $value AS x, array($value, 0.25D) AS a").mkString(" UNION ALL "))
    val said = warnings(write(data): Unit, Level.INFO).filter(_.contains("these values"))
    assert(said.size == 1 && said.head.contains("`a` (2), `x` (2)"), said)
    assert(warnings(write(rows(0.5)): Unit, Level.INFO).isEmpty)
  }

  private def warnings(body: => Unit, level: Level = Level.WARN): Seq[String] = {
    val seen = new java.util.concurrent.ConcurrentLinkedQueue[String]
    val appender = new AbstractAppender("narrowing", null, null, false, Property.EMPTY_ARRAY) {
      override def append(event: LogEvent): Unit = {
        val text = event.getMessage.getFormattedMessage
        if (event.getLevel == level && text.contains("float32")) seen.add(text): Unit
      }
    }
    appender.start()
    val logger = LogManager.getRootLogger.asInstanceOf[Logger]
    logger.addAppender(appender)
    Configurator.setLevel(classOf[io.dlcache.write.ShardSink].getPackageName, level)
    try body
    finally {
      Configurator.setLevel(classOf[io.dlcache.write.ShardSink].getPackageName, Level.OFF)
      logger.removeAppender(appender)
    }
    seen.toArray(Array.empty[String]).toSeq
  }
}
