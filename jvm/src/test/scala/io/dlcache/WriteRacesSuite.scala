package io.dlcache

import java.util.concurrent.{CyclicBarrier, Executors, TimeUnit}

import scala.concurrent.{Await, ExecutionContext, Future}
import scala.concurrent.duration.{Duration, MINUTES}
import scala.util.{Failure, Success, Try}

import io.dlcache.error.DlcacheException
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.{col, udf}
import org.scalatest.funsuite.AnyFunSuite

class WriteRacesSuite extends AnyFunSuite with WriteTest {

  /** Runs all at once; the outcomes in the order of the calls. */
  private def race[T](calls: (() => T)*): Seq[Try[T]] = {
    val pool = Executors.newFixedThreadPool(calls.size)
    implicit val context: ExecutionContext = ExecutionContext.fromExecutor(pool)
    try Await.result(Future.sequence(calls.map(call => Future(Try(call())))), Duration(5, MINUTES))
    finally {
      pool.shutdown()
      assert(pool.awaitTermination(1, TimeUnit.MINUTES))
    }
  }

  /** Rows whose jobs are all at work before any of them ends: the race for the manifest is certain. */
  private def meeting(rows: Long): DataFrame = {
    val meet = udf { (id: Long) =>
      if (id == 0) WriteRacesSuite.barrier.await(60, TimeUnit.SECONDS): Unit
      id
    }
    spark.range(0, rows, 1, 1).select(meet(col("id")).as("id"))
  }

  private def outcome(path: String, data: DataFrame, mode: String, key: String): Boolean = {
    val request = s"$path $key ${Thread.currentThread().getId}"
    data.write.format("dlcache").mode(mode).option("key", key).option("request", request).save(path)
    spark.read.format("dlcache").option("request", request).load().head().getAs[Boolean]("hit")
  }

  test("two writers of one key: the first publishes, the other discards its files and has a hit") {
    Seq("errorifexists", "ignore").foreach { mode =>
      val path = newPath()
      def write() = outcome(path, meeting(10), mode, "one")
      val hits = race(() => write(), () => write()).map(_.get)
      assert(hits.sorted == Seq(false, true))
      assert(store(path).versions() == Seq(1))
      assert(files(path) == namedFiles(path))
      assert(ids(path) == (0L until 10L))
    }
  }

  test("two writers of two keys: the second decides again") {
    val refusing = newPath()
    val ends = race(
      () => outcome(refusing, meeting(10), "errorifexists", "one"),
      () => outcome(refusing, meeting(20), "errorifexists", "two")
    )
    assert(ends.count(_.isSuccess) == 1)
    ends.foreach {
      case Success(hit) => assert(!hit)
      case Failure(e: DlcacheException) => assert(e.getCondition == "DLCACHE_KEY_MISMATCH")
      case Failure(e) => throw e
    }
    assert(store(refusing).versions() == Seq(1) && files(refusing) == namedFiles(refusing))

    val replacing = newPath()
    race(
      () => outcome(replacing, meeting(10), "overwrite", "one"),
      () => outcome(replacing, meeting(20), "overwrite", "two")
    ).foreach(end => assert(!end.get))
    assert(store(replacing).versions() == Seq(1, 2) && files(replacing) == namedFiles(replacing))
  }

  test("ten appends at once lose nothing") {
    val path = newPath()
    val calls = (0 until 10).map { i => () =>
      spark.range(i * 10L, i * 10L + 10, 1, 1).toDF("id").write.format("dlcache").mode("append").save(path)
    }
    race(calls: _*).foreach(_.get)
    assert(store(path).versions() == (1L to 10L))
    assert(ids(path).sorted == (0L until 100L))
    assert(current(path).shards.map(_.version) == (1L to 10L))
    assert(current(path).columns.head.statistics.get.get("count").asLong == 100)
    assert(files(path) == namedFiles(path))
    assert((1L to 10L).map(store(path).read(_).datasetId).distinct.size == 1)
  }
}

/** Tasks and test run in one JVM; a task finds it by name, since a barrier is not serializable. */
object WriteRacesSuite {
  private val barrier = new CyclicBarrier(2)
}
