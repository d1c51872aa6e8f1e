package io.dlcache.read

import java.io.{EOFException, FileNotFoundException, IOException}

import io.dlcache.error.{DlcacheErrors, DlcacheException}
import org.apache.spark.TaskKilledException

/** What an exception from reading a shard means. */
private[read] object ShardFailure {

  /** A missing file and bytes that are not a shard's are named; a store that does not answer, a task that was told to
    * stop and an error that already has its name stay what they are.
    */
  def of(file: String, error: Throwable): Throwable = {
    val chain = Iterator.iterate(error)(_.getCause).takeWhile(_ != null).take(32).toSeq
    chain.collectFirst {
      case named: DlcacheException => named
      case _: TaskKilledException | _: InterruptedException => error
      case missing: FileNotFoundException => DlcacheErrors.shardMissing(file, Some(missing))
    }.getOrElse {
      if (isStoreTrouble(chain.last)) error
      else DlcacheErrors.shardDamaged(file, Option(chain.last.getMessage).getOrElse(chain.last.toString), Some(error))
    }
  }

  /** Parquet's Thrift says that a footer or header is not one with its own exceptions inside an IOException. */
  private def isStoreTrouble(root: Throwable): Boolean = root match {
    case _: EOFException => false
    case _: IOException => true
    case _ => false
  }
}
