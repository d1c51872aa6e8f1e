package io.dlcache.write

import java.util

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.ObjectMapper
import io.dlcache.error.DlcacheErrors
import io.dlcache.manifest.Manifest
import org.apache.spark.sql.Row
import org.apache.spark.sql.types._

/** How a write went: the dataset as it is afterwards.
  *
  * @param path with its scheme
  * @param isHit whether the dataset was there already, so that no Spark job ran
  * @param seconds from the call to its return
  */
final private[dlcache] case class WriteOutcome(
    path: String,
    version: Long,
    digest: String,
    scope: String,
    isHit: Boolean,
    rows: Long,
    bytes: Long,
    shards: Int,
    seconds: Double
) {
  def row: Row = Row(path, version, digest, scope, isHit, rows, bytes, shards, seconds)
}

private[dlcache] object WriteOutcome {

  val Schema: StructType = new StructType()
    .add("path", StringType, nullable = false)
    .add("version", LongType, nullable = false)
    .add("digest", StringType, nullable = false)
    .add("scope", StringType, nullable = false)
    .add("hit", BooleanType, nullable = false)
    .add("rows", LongType, nullable = false)
    .add("bytes", LongType, nullable = false)
    .add("shards", IntegerType, nullable = false)
    .add("seconds", DoubleType, nullable = false)

  def of(path: String, manifest: Manifest, isHit: Boolean, seconds: Double): WriteOutcome = WriteOutcome(
    path,
    manifest.version,
    manifest.planKey.digest,
    manifest.planKey.scope,
    isHit,
    manifest.rows,
    manifest.bytes,
    manifest.shards.size,
    seconds
  )
}

/** The outcomes of the last writes that carried a `request`, in the driver's memory. A client, near or behind Spark
  * Connect, reads them as a DataFrame.
  */
final private[dlcache] class WriteOutcomes(capacity: Int) {
  private val byRequest = new util.LinkedHashMap[String, WriteOutcome] {
    override def removeEldestEntry(eldest: util.Map.Entry[String, WriteOutcome]): Boolean = size > capacity
  }

  def record(request: String, outcome: WriteOutcome): Unit = synchronized {
    byRequest.remove(request)
    byRequest.put(request, outcome): Unit
  }

  /** @throws io.dlcache.error.DlcacheException DLCACHE_UNKNOWN_REQUEST */
  def apply(request: String): WriteOutcome = get(request).getOrElse(throw DlcacheErrors.unknownRequest(request))

  def get(request: String): Option[WriteOutcome] = synchronized(Option(byRequest.get(request)))
}

private[dlcache] object WriteOutcomes {

  /** Of this driver. */
  val driver: WriteOutcomes = new WriteOutcomes(capacity = 1000)

  private lazy val mapper = new ObjectMapper

  /** For Python in the driver: the outcome as a JSON object with the names of the schema, or null if none is known. A
    * query for it would cost as much as the rest of a hit.
    */
  def json(request: String): String = driver
    .get(request)
    .map(outcome => mapper.writeValueAsString(WriteOutcome.Schema.fieldNames.zip(outcome.row.toSeq).toMap.asJava))
    .orNull
}
