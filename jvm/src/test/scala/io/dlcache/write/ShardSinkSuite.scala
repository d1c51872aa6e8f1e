package io.dlcache.write

import java.io.IOException
import java.net.URLClassLoader
import java.nio.file.Files
import java.util.UUID
import java.util.concurrent.ConcurrentLinkedQueue

import scala.jdk.CollectionConverters._

import io.dlcache.CatalogTest
import io.dlcache.error.DlcacheException
import io.dlcache.shard.{ShardLayout, ShardOptions}
import io.dlcache.spark.Sessions
import org.apache.hadoop.fs.Path
import org.apache.spark.SparkThrowable
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.connector.write.WriterCommitMessage
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.execution.QueryExecution
import org.apache.spark.sql.functions.{array_repeat, col, udf}
import org.apache.spark.sql.util.QueryExecutionListener
import org.scalatest.concurrent.Eventually
import org.scalatest.funsuite.AnyFunSuite
import org.scalatest.time.{Seconds, Span}

/** What the inner write makes of rows: shards, their order and their sizes. */
class ShardSinkSuite extends AnyFunSuite with CatalogTest with Eventually {

  private def numbers(rows: Long, partitions: Int): DataFrame = spark.range(0, rows, 1, partitions).toDF("id")

  private def write(data: DataFrame, options: (String, String)*): String = {
    val path = newPath()
    data.write.format("dlcache").options(options.toMap).save(path)
    path
  }

  private def sizes(path: String): Seq[Long] = current(path).shards.map(_.rows)

  test("the DataFrame's partitions and their order stay") {
    val path = write(numbers(100, 4))
    assert(sizes(path) == Seq(25, 25, 25, 25))
    assert(ids(path) == (0L until 100L))
    val name = "data/dlcache-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-0000([0-3])-0-[0-9a-f]{16}\\.parquet".r
    val parts = current(path).shards.map(_.path).collect { case name(job, partition) => job -> partition }
    assert(parts.map(_._2) == Seq("0", "1", "2", "3") && parts.map(_._1).distinct.size == 1)
    assert(files(path) == namedFiles(path))
  }

  test("an empty partition writes no file") {
    val path = write(numbers(100, 4).where(col("id") < 25 || col("id") >= 75))
    assert(sizes(path) == Seq(25, 25))
    assert(files(path).size == 2)
  }

  test("a DataFrame without rows is a dataset without shards") {
    Seq(numbers(10, 2).where("id < 0"), spark.createDataFrame(java.util.List.of[Row](), numbers(1, 1).schema)).foreach {
      none =>
        val path = write(none)
        assert(current(path).rows == 0 && current(path).shards.isEmpty && files(path).isEmpty)
        assert(read(path).schema == none.schema)
        assert(read(path).count() == 0)
    }
  }

  test("a task goes on in a new shard at targetShardBytes") {
    val wide = numbers(4000, 2).withColumn("x", array_repeat(col("id").cast("double"), 100))
    val path = write(wide, "targetShardBytes" -> "400k", "rowGroupBytes" -> "100k")
    val shards = current(path).shards
    assert(shards.size == 8)
    shards.foreach(shard => assert(shard.bytes > 300 * 1024 && shard.bytes < 500 * 1024))
    assert(ids(path) == (0L until 4000L))
    assert(shards.map(_.path).distinct.size == 8)
  }

  test("shards=N is N shards, even to within one row for each partition") {
    for ((rows, partitions, n) <- Seq((1000L, 4, 7), (1000L, 1, 8), (100L, 2, 2), (1000L, 8, 3))) {
      val path = write(numbers(rows, partitions), "shards" -> n.toString)
      assert(sizes(path).size == n)
      assert(sizes(path).max - sizes(path).min <= partitions)
      assert(ids(path).sorted == (0L until rows))
      assert(files(path) == namedFiles(path))
    }
  }

  test("shards=N is N shards also of few rows in many partitions, or one for each row") {
    for ((rows, partitions, n) <- Seq((16L, 16, 16), (20L, 20, 8), (3L, 3, 8))) {
      val path = write(numbers(rows, partitions), "shards" -> n.toString)
      assert(sizes(path).size == math.min(rows, n.toLong))
      assert(sizes(path).max - sizes(path).min <= 1)
      assert(ids(path).sorted == (0L until rows))
      assert(files(path) == namedFiles(path))
    }
  }

  test("shards=N does not roll") {
    val path = write(numbers(10000, 2), "shards" -> "3", "targetShardBytes" -> "1k", "rowGroupBytes" -> "4k")
    assert(sizes(path).size == 3)
  }

  test("shuffle=SEED spreads the rows at random, for one seed always in the same way") {
    val first = ids(write(numbers(1000, 3), "shuffle" -> "7"))
    assert(first.sorted == (0L until 1000L))
    assert(first != (0L until 1000L))
    // Of a random order, hardly any row has its own successor behind it.
    assert(first.zip(first.tail).count { case (a, b) => b == a + 1 } < 20)
    assert(ids(write(numbers(1000, 3), "shuffle" -> "7")) == first)
    assert(ids(write(numbers(1000, 3), "shuffle" -> "8")) != first)
  }

  test("shuffle and shards spread the rows over all shards") {
    val path = write(numbers(1000, 3), "shuffle" -> "7", "shards" -> "4")
    assert(sizes(path).size == 4 && sizes(path).max - sizes(path).min <= 3)
    val all = ids(path)
    assert(all.sorted == (0L until 1000L))
    val starts = sizes(path).scanLeft(0L)(_ + _).map(_.toInt)
    starts.zip(starts.tail).foreach { case (from, until) =>
      val shard = all.slice(from, until)
      assert(shard.sorted != shard)
      assert(shard.count(_ < 500) > 80 && shard.count(_ >= 500) > 80)
    }
    assert(ids(write(numbers(1000, 3), "shuffle" -> "7", "shards" -> "4")) == all)
  }

  /** Spark kills the other tasks without waiting for them; they delete what they have begun. */
  test("a failing task leaves no file of ours, and the old version readable") {
    val boom = udf((id: Long) => if (id == 99) throw new IllegalStateException("boom") else id)
    val bad = numbers(100, 4).select(boom(col("id")).as("id"))
    def settled(path: String): Unit =
      eventually(timeout(Span(30, Seconds)))(assert(files(path) == namedFiles(path)))
    val fresh = newPath()
    assert(messages(intercept[Exception](bad.write.format("dlcache").save(fresh))).contains("boom"))
    settled(fresh)
    assert(!store(fresh).exists())
    val path = write(numbers(10, 2))
    Seq("overwrite", "append").foreach { mode =>
      assert(messages(intercept[Exception](bad.write.format("dlcache").mode(mode).save(path))).contains("boom"))
      settled(path)
      assert(current(path).version == 1)
      assert(ids(path) == (0L until 10L))
    }
    numbers(5, 1).write.format("dlcache").save(fresh)
    assert(ids(fresh) == (0L until 5L))
  }

  private def messages(e: Throwable): String =
    Iterator.iterate(e)(_.getCause).takeWhile(_ != null).map(_.getMessage).mkString("\n")

  test("Spark's plans and metrics say what is written") {
    val seen = new ConcurrentLinkedQueue[QueryExecution]
    val listener = new QueryExecutionListener {
      override def onSuccess(name: String, execution: QueryExecution, nanos: Long): Unit = seen.add(execution): Unit
      override def onFailure(name: String, execution: QueryExecution, e: Exception): Unit = ()
    }
    spark.listenerManager.register(listener)
    try {
      val path = write(numbers(100, 4))
      eventually(timeout(Span(30, Seconds))) {
        val plans = seen.asScala.map(_.executedPlan).flatMap(plan => plan.collect { case node => node })
        val write = plans.find(_.metrics.contains("shards")).get
        assert(write.toString.contains("dlcache shards (path=") && write.toString.contains(path))
        val values = Seq("rows", "shards", "bytes").map(name => write.metrics(name).value)
        assert(values == Seq(100L, 4L, current(path).bytes))
      }
    } finally spark.listenerManager.unregister(listener)
  }

  test("a table's plan says where it writes") {
    val path = write(numbers(3, 1))
    spark.sql(s"CREATE TABLE explained USING dlcache LOCATION '$path'")
    try {
      val text = spark.sql("EXPLAIN INSERT INTO explained VALUES (1)").head().getString(0)
      assert(text.contains("dlcache") && text.contains(path))
    } finally spark.sql("DROP TABLE explained"): Unit
  }

  /** As with a jar that came by ADD JAR: Spark finds the driver's classes in a class loader that the tasks have not. */
  test("a write whose tasks have other classes than the driver is refused, and leaves nothing") {
    val path = newPath()
    val thread = Thread.currentThread()
    val usual = thread.getContextClassLoader
    val data = numbers(10, 2)
    val e =
      try {
        thread.setContextClassLoader(new OwnClasses(usual))
        intercept[Exception](data.write.format("io.dlcache.DlcacheDataSource").save(path))
      } finally thread.setContextClassLoader(usual)
    assert(e.getClass.getName == classOf[DlcacheException].getName && !e.isInstanceOf[DlcacheException])
    assert(e.asInstanceOf[SparkThrowable].getCondition == "DLCACHE_CLASSES_DIFFER")
    assert(e.getMessage.contains(path) && e.getMessage.contains("OwnClasses") && e.getMessage.contains("--jars"))
    assert(!store(path).exists() && files(path).isEmpty)
    data.write.format("dlcache").save(path)
    assert(ids(path) == (0L until 10L))
  }

  test("a task's answer that does not account for its rows is refused") {
    def commit(messages: WriterCommitMessage*) = {
      val layout = ShardLayout.of(numbers(1, 1).schema, None)
      val job = new ShardJob(
        new Path(newPath()),
        Sessions.hadoopConf(spark),
        numbers(1, 1).schema,
        layout,
        ShardOptions(1 << 20),
        None,
        UUID.randomUUID()
      )
      new ShardBatchWrite(job).commit(messages.toArray)
    }
    commit(ShardCommitMessage(0, 0, Nil, Map.empty))
    val few = refusal("DLCACHE_ROWS_MISSING")(commit(
      ShardCommitMessage(0, 0, Nil, Map.empty),
      ShardCommitMessage(1, 3, Nil, Map.empty)
    ))
    assert(few.getMessage.contains("partition 1") && few.getMessage.contains("3 rows"))
    val none = refusal("DLCACHE_ROWS_MISSING")(commit(null, ShardCommitMessage(1, 0, Nil, Map.empty)))
    assert(none.getMessage.contains("partition 0"))
  }

  test("nobody but a running write uses the sink") {
    val e = intercept[IllegalStateException] {
      numbers(1, 1).write.format(classOf[ShardSink].getName).option("job", "x").mode("append").save()
    }
    assert(e.getMessage.contains("x"))
  }

  test("a task that cannot delete its open shard still deletes those that it has closed") {
    val dataset = Files.createDirectories(scratch.resolve("aborted"))
    val layout = ShardLayout.of(numbers(1, 1).schema, None)
    val conf = Sessions.hadoopConf(spark)
    val writer = new ShardDataWriter(n => s"data/$n", 0, new Path(dataset.toUri), conf, layout, ShardOptions(1), 1)
    Seq(1L, 2L).foreach(id => writer.write(InternalRow(id)))
    val (closed, open) = (dataset.resolve("data/0"), dataset.resolve("data/1"))
    assert(Files.exists(closed))
    Files.delete(open)
    Files.createFile(Files.createDirectory(open).resolve("full"))
    intercept[IOException](writer.abort())
    assert(!Files.exists(closed))
  }
}

/** Has dlcache's classes for itself, and all others from its parent. */
final private class OwnClasses(parent: ClassLoader)
    extends URLClassLoader(Array(classOf[ShardSink].getProtectionDomain.getCodeSource.getLocation), parent) {

  override def loadClass(name: String, resolve: Boolean): Class[_] = getClassLoadingLock(name).synchronized {
    if (!name.startsWith("io.dlcache.")) super.loadClass(name, resolve)
    else Option(findLoadedClass(name)).getOrElse(findClass(name))
  }
}
