package io.dlcache.spark

import java.util.concurrent.{Callable, Executors}

import scala.jdk.CollectionConverters._
import scala.util.Try

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.classic.SparkSession
import org.apache.spark.sql.execution.datasources._
import org.apache.spark.sql.internal.SQLConf

/** Which files an index holds, without a Spark job. */
private[spark] object PartitionListing {

  /** Threads that list the partitions of one table; each waits for its store. */
  private val Threads = 16

  /** @param filters conditions on partition columns; one that cannot be evaluated leaves all partitions */
  def of(index: FileIndex, filters: Seq[Expression]): Seq[PartitionDirectory] =
    if (filters.isEmpty) all(index, Nil) else Try(all(index, filters)).getOrElse(all(index, Nil))

  private def all(index: FileIndex, filters: Seq[Expression]): Seq[PartitionDirectory] = index match {
    case table: CatalogFileIndex if table.table.partitionColumnNames.nonEmpty =>
      sessionAndCache(table).fold(table.listFiles(filters, Nil)) { case (session, cache) =>
        ofTable(table, session, cache, filters)
      }
    case _ => index.listFiles(filters, Nil)
  }

  /** As `CatalogFileIndex.listFiles`, which lists many directories by a job. Here threads list as many at a time as Spark
    * does without one, into the cache that the query looks into later.
    */
  private def ofTable(
      index: CatalogFileIndex,
      session: SparkSession,
      cache: FileStatusCache,
      filters: Seq[Expression]
  ): Seq[PartitionDirectory] = {
    val conf = session.sessionState.conf
    val schema = index.partitionSchema
    val hadoopConf = session.sessionState.newHadoopConf()
    val paths = session.sessionState.catalog.listPartitionsByFilter(index.table.identifier, filters).map { partition =>
      val path = new Path(partition.location)
      val fs = path.getFileSystem(hadoopConf)
      PartitionPath(
        partition.toRow(schema, conf.sessionLocalTimeZone),
        path.makeQualified(fs.getUri, fs.getWorkingDirectory)
      )
    }
    def list(some: Seq[PartitionPath]): Seq[PartitionDirectory] = SQLConf.withExistingConf(conf) {
      val spec = PartitionSpec(schema, some)
      new InMemoryFileIndex(session, some.map(_.path), Map.empty, Some(schema), cache, Some(spec), None)
        .listFiles(Nil, Nil)
    }
    val atOnce = math.max(1, math.min(conf.parallelPartitionDiscoveryThreshold, (paths.size + Threads - 1) / Threads))
    val parts = paths.grouped(atOnce).toSeq
    if (parts.size < 2) parts.flatMap(list)
    else {
      val pool = Executors.newFixedThreadPool(math.min(Threads, parts.size))
      try {
        val tasks = parts.map(part => (() => list(part)): Callable[Seq[PartitionDirectory]])
        pool.invokeAll(tasks.asJava).asScala.toSeq.flatMap(_.get())
      } finally pool.shutdown()
    }
  }

  private def sessionAndCache(index: CatalogFileIndex): Option[(SparkSession, FileStatusCache)] = Try {
    def field(name: String) = {
      val found = classOf[CatalogFileIndex].getDeclaredField(name)
      found.setAccessible(true)
      found.get(index)
    }
    (field("sparkSession").asInstanceOf[SparkSession], field("fileStatusCache").asInstanceOf[FileStatusCache])
  }.toOption
}
