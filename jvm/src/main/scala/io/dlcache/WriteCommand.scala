package io.dlcache

import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.UUID

import scala.annotation.tailrec
import scala.util.control.NonFatal

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.conf.{Root, WriteConf}
import io.dlcache.error.{DlcacheErrors, DlcacheException}
import io.dlcache.key.PlanKey
import io.dlcache.lifecycle.{Lease, LeaseKeeper, SessionDatasets}
import io.dlcache.manifest.{DatasetStore, Manifest, PlanKeyEntry}
import io.dlcache.shard.{ShardLayout, ShardOptions}
import io.dlcache.spark.{PlanLeaf, Sessions}
import io.dlcache.write._
import org.apache.hadoop.fs.Path
import org.apache.spark.SPARK_VERSION
import org.apache.spark.internal.Logging
import org.apache.spark.sql.{DataFrame, SaveMode}

/** Every write, whichever way it came: the plan's key, the decision, and if need be the shards and their publication.
  * Nothing is visible before the manifest is, which is the last act.
  */
final private[dlcache] class WriteCommand(mode: SaveMode, conf: WriteConf, data: DataFrame) extends Logging {
  import WriteCommand._

  private val session = data.sparkSession
  private val hadoopConf = Sessions.hadoopConf(session, conf.hadoop)

  /** Runs no Spark job unless rows must be written, and finds what is wrong with the request before one. */
  def run(): WriteOutcome = {
    val started = System.nanoTime()
    if (mode == SaveMode.Append && conf.path.isEmpty) throw DlcacheErrors.appendWithoutPath()
    if (mode == SaveMode.ErrorIfExists || mode == SaveMode.Ignore) requireUnobserved()
    layoutOf(data)
    val (target, end) = settledOrBuilt(1)
    val outcome = WriteOutcome.of(target.path.toString, end.manifest, end.isHit, (System.nanoTime() - started) / 1e9)
    logInfo(
      f"${end.what}: ${outcome.path} version ${outcome.version}, ${outcome.rows} rows, ${outcome.shards} shards, " +
        f"${outcome.bytes} bytes, ${outcome.seconds}%.3f seconds"
    )
    conf.request.foreach(WriteOutcomes.driver.record(_, outcome))
    outcome
  }

  /** A hit runs no query, so the metrics of an observed one would never arrive. */
  private def requireUnobserved(): Unit = {
    val observations = PlanLeaf.observations(data)
    if (observations.nonEmpty) throw DlcacheErrors.observedQuery(observations.mkString(", "))
  }

  private def planKey() = PlanKey.of(data, conf.writeOptions, conf.key, conf.python)

  /** Spark reads a table as it is when a query is planned, which may be later than its key was computed. */
  @tailrec
  private def settledOrBuilt(attempt: Int): (Target, End) = {
    val key = planKey()
    val target = new Target(pathFor(key.digest), key)
    val current = target.store.current()
    target.settle(current).orElse(target.build(current)) match {
      case Some(end) => (target, end)
      case None if attempt == MaxReadings => throw DlcacheErrors.inputChanged(target.path.toString, MaxReadings)
      case None =>
        logInfo(s"An input changed while ${target.path} was written from it; its rows are read again")
        settledOrBuilt(attempt + 1)
    }
  }

  private def pathFor(digest: String): Path = {
    val path = conf.path.map(new Path(_)).getOrElse {
      val root = Root.resolve(conf.root, session.sparkContext.master, sys.env, System.getProperty("user.home"))
      new Path(root, digest)
    }
    path.getFileSystem(hadoopConf).makeQualified(path)
  }

  private def layoutOf(rows: DataFrame): ShardLayout =
    ShardLayout.of(rows.schema, conf.dtype, Sessions.isCaseSensitive(session), conf.packs)

  /** The dataset that is written to. */
  final private class Target(val path: Path, planKey: PlanKey) {
    val store = new DatasetStore(path, hadoopConf)
    private val key = PlanKeyEntry(planKey.scope, planKey.digest, planKey.applicationId)

    private def decide(current: Option[Manifest]) =
      WriteDecision.of(mode, current.map(_.planKey), key, current.exists(_.isExpired(Instant.now())))

    private def offered: String =
      if (planKey.isRepeatable) text(key)
      else s"${text(key)}, another one in each call, since its rows change without a trace: the option 'key' names them"

    /** The end, if no rows need to be written; an error, if none may be. */
    def settle(current: Option[Manifest]): Option[End] = current.flatMap { there =>
      decide(current) match {
        case WriteDecision.Hit => Some(End("hit", there, isHit = true))
        case WriteDecision.Leave =>
          logWarning(
            s"$path was written from another plan: its key is ${text(there.planKey)}, this DataFrame's is " +
              s"$offered. The mode is ignore, so the dataset stays as it is"
          )
          Some(End("left", there, isHit = false))
        case WriteDecision.Refuse => throw DlcacheErrors.keyMismatch(path.toString, text(there.planKey), offered)
        case WriteDecision.Build | WriteDecision.Replace | WriteDecision.Append => None
      }
    }

    /** None, and nothing is written, if the rows may be of another state of an input than the key. */
    def build(current: Option[Manifest]): Option[End] = {
      if (current.isEmpty) ShardFiles.requireFree(path, hadoopConf)
      store.requirePublishable()
      val rows = aligned(current)
      val layout = layoutOf(rows)
      current.filter(_ => decide(current) == WriteDecision.Append).foreach(requireFit(_, layout))
      val explanation = planKey.explanation
      val lease = LeaseKeeper.driver.take(path, hadoopConf, Lease.Writer, None)
      try {
        requireUnchanged()
        val shards = write(rows, layout)
        if (hasMoved(shards)) {
          discard(shards)
          None
        } else {
          val end = publishOrDiscard(shards, layout, explanation, current)
          // Before the writer's lease ends: without one of the application `gc` would take it for ended.
          if (end.isWritten && conf.path.isEmpty && key.scope == PlanKey.Session) {
            SessionDatasets.record(session.sparkContext, path, hadoopConf)
          }
          Some(end)
        }
      } finally lease.close()
    }

    /** The files are as the key says, and stay so or get another time: Spark reads those that lie there, whatever the
      * DataFrame has listed. Not even with another try would it list them again.
      */
    private def requireUnchanged(): Unit = {
      Thread.sleep(planKey.files.settling(System.currentTimeMillis()))
      planKey.files.changed(hadoopConf).foreach(file => throw DlcacheErrors.filesChanged(path.toString, file))
    }

    /** Whether a table has another version than in the key, or lists other files. A file that was replaced under a list
      * that stays the same is an error.
      */
    private def hasMoved(shards: Seq[WrittenShard]): Boolean =
      try {
        val moved = planKey.states.nonEmpty && WriteCommand.this.planKey().states != planKey.states
        if (!moved) planKey.files.changed(hadoopConf).foreach { file =>
          throw DlcacheErrors.filesChanged(path.toString, file)
        }
        moved
      } catch {
        case NonFatal(e) =>
          discard(shards)
          throw e
      }

    /** An error other than our own may come from a publication that did take place: then the shards must stay. */
    private def publishOrDiscard(
        shards: Seq[WrittenShard],
        layout: ShardLayout,
        explanation: JsonNode,
        current: Option[Manifest]
    ): End = {
      val next = NextVersion(
        UUID.randomUUID().toString,
        Instant.now().truncatedTo(ChronoUnit.MILLIS),
        CreatedBy,
        key,
        explanation,
        layout,
        shards,
        conf.writeOptions,
        conf.ttlSeconds
      )
      val end =
        try publish(next, current, 1)
        catch {
          case e: DlcacheException =>
            discard(shards)
            throw e
        }
      if (!end.isWritten) discard(shards)
      end
    }

    /** Decides again whenever another writer was first. */
    @tailrec
    private def publish(next: NextVersion, current: Option[Manifest], attempt: Int): End = settle(current) match {
      case Some(end) => end
      case None =>
        if (attempt > MaxAttempts) throw DlcacheErrors.datasetChanged(path.toString, MaxAttempts)
        val manifest = current match {
          case Some(there) if decide(current) == WriteDecision.Append =>
            requireFit(there, next.layout)
            next.appendedTo(there)
          case _ => next.replacing(current)
        }
        if (store.publish(manifest)) End("miss, written", manifest, isHit = false, isWritten = true)
        else publish(next, store.current(), attempt + 1)
    }

    /** The columns in the order of the dataset that they are appended to. */
    private def aligned(current: Option[Manifest]): DataFrame = current match {
      case Some(there) if decide(current) == WriteDecision.Append =>
        Alignment.byName(there.rowSchema, data.schema, Sessions.isCaseSensitive(session)) match {
          case Left(mismatch) => throw appendMismatch(mismatch)
          case Right(positions) => Alignment.select(data, positions, there.rowSchema.fieldNames.toSeq)
        }
      case _ => data
    }

    private def requireFit(there: Manifest, layout: ShardLayout): Unit =
      Alignment
        .packs(there.packs, layout.packs)
        .orElse(Alignment.appends(there.schema, there.columns.map(_.udt), layout.schema, layout.columns.map(_.udt)))
        .foreach(mismatch => throw appendMismatch(mismatch))

    private def appendMismatch(mismatch: Mismatch) =
      DlcacheErrors.columnsMismatch(path.toString, mismatch.column, mismatch.reason)

    private def write(rows: DataFrame, layout: ShardLayout): Seq[WrittenShard] = {
      val options = ShardOptions(conf.rowGroupBytes, conf.compression)
      val targetBytes = Option.when(conf.shards.isEmpty)(conf.targetShardBytes)
      def run(arranged: DataFrame) =
        new ShardJob(path, hadoopConf, rows.schema, layout, options, targetBytes).run(arranged)
      val arrangement = Arrangement(conf.shards, conf.shuffle)
      val shards = run(arrangement.of(rows))
      if (arrangement.isShort(shards.size, shards.map(_.summary.rows).sum)) {
        discard(shards)
        run(arrangement.ofCoalesced(rows))
      } else shards
    }

    private def discard(shards: Seq[WrittenShard]): Unit = ShardFiles.discard(path, hadoopConf, shards.map(_.path))
  }
}

private[dlcache] object WriteCommand {

  /** Each attempt fails only because another writer has published, so this many is a sign of something else. */
  private val MaxAttempts = 100

  /** So often the rows are read of tables that change meanwhile. */
  private val MaxReadings = 3

  private lazy val CreatedBy: String = {
    val resource = getClass.getResourceAsStream("/io/dlcache/version")
    val version =
      try new String(resource.readAllBytes(), "UTF-8").trim
      finally resource.close()
    s"dlcache $version (Spark $SPARK_VERSION)"
  }

  /** @param what happened, for the log
    * @param isWritten whether this write's shards are in the manifest
    */
  final private case class End(what: String, manifest: Manifest, isHit: Boolean, isWritten: Boolean = false)

  /** A key as messages show it. */
  private def text(key: PlanKeyEntry): String =
    s"${key.digest} (${key.scope}${key.applicationId.fold("")(id => s" to $id")})"
}
