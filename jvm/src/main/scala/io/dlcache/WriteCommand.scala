package io.dlcache

import java.io.IOException
import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.UUID

import scala.annotation.tailrec

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.conf.{DlcacheOption, IfAppended, Root, WriteConf}
import io.dlcache.error.{DlcacheErrors, DlcacheException}
import io.dlcache.key.PlanKey
import io.dlcache.lifecycle.{DeletionRecord, LeaseKeeper, SessionDatasets}
import io.dlcache.manifest.{DatasetFiles, DatasetStore, Manifest, PlanKeyEntry}
import io.dlcache.shard.{ClassNumbers, ShardLayout, ShardOptions}
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
    val canSkip = mode == SaveMode.Append && conf.ifAppended == IfAppended.Skip
    if (mode == SaveMode.ErrorIfExists || mode == SaveMode.Ignore || canSkip) requireUnobserved()
    layoutOf(data)
    val (target, result) = existingOrBuilt(1)
    val outcome =
      WriteOutcome.of(target.path.toString, result.manifest, result.isHit, (System.nanoTime() - started) / 1e9)
    logInfo(
      f"${result.what}: ${outcome.path} version ${outcome.version}, ${outcome.rows} rows, ${outcome.shards} shards, " +
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
  private def existingOrBuilt(attempt: Int): (Target, Result) = {
    val key = planKey()
    val target = new Target(pathFor(key.digest), key)
    target.existing(target.store.current()).orElse(target.build()) match {
      case Some(result) => (target, result)
      case None if attempt == MaxReadings => throw DlcacheErrors.inputChanged(target.path.toString, MaxReadings)
      case None =>
        logInfo(s"An input changed while ${target.path} was written from it; its rows are read again")
        existingOrBuilt(attempt + 1)
    }
  }

  private def pathFor(digest: String): Path = {
    val path = conf.path.map(new Path(_)).getOrElse {
      val root = Root.resolve(conf.root, session.sparkContext.master, sys.env, System.getProperty("user.home"))
      new Path(root, digest)
    }
    path.getFileSystem(hadoopConf).makeQualified(path)
  }

  /** @param appended the dataset that the rows are appended to: its columns of class numbers stay these */
  private def layoutOf(rows: DataFrame, appended: Option[Manifest] = None): ShardLayout = {
    val classes = appended.map(there => ClassNumbers.of(there.schema).keySet)
    ShardLayout.of(rows.schema, conf.dtype, Sessions.isCaseSensitive(session), conf.packs, classes)
  }

  /** The dataset that is written to. */
  final private class Target(val path: Path, planKey: PlanKey) {
    val store = new DatasetStore(path, hadoopConf)
    private var mayBePublished = false
    private val key = PlanKeyEntry(planKey.scope, planKey.digest, planKey.applicationId)

    private def decide(current: Option[Manifest]) =
      WriteDecision.of(
        mode,
        current.map(_.planKey),
        key,
        isStale(current),
        current.exists(_.keys.contains(key)),
        conf.ifAppended
      )

    private def offered: String =
      if (planKey.isRepeatable) text(key)
      else s"${text(key)}, another one in each call, since its rows change without a trace: the option 'key' names them"

    /** Whether what is there must be built again although it has the key. */
    private def isStale(current: Option[Manifest]) =
      current.exists(there => there.isExpired(Instant.now()) || (conf.path.isEmpty && store.lost(there).isDefined))

    /** The result, if no rows need to be written; an error, if none may be. */
    @tailrec
    def existing(current: Option[Manifest]): Option[Result] = decide(current) match {
      case WriteDecision.Hit =>
        val there = current.get
        // Under the root one that is not whole is stale, and built again.
        conf.path.flatMap(_ => store.lost(there)) match {
          case None => Some(Result("hit", there, isHit = true))
          case Some((shard, reason)) =>
            // A deletion of the dataset takes the manifests first, so this one is looked for again.
            if (store.find(there.version).isDefined)
              throw DlcacheErrors.datasetDamaged(path.toString, shard.path, reason)
            existing(store.current())
        }
      case WriteDecision.Leave =>
        val there = current.get
        logWarning(
          s"$path was written from another plan: its key is ${text(there.planKey)}, this DataFrame's is " +
            s"$offered. The mode is ignore, so the dataset stays as it is"
        )
        Some(Result("left", there, isHit = false))
      case WriteDecision.Refuse =>
        throw DlcacheErrors.keyMismatch(path.toString, difference(current.get), text(current.get.planKey), offered)
      case WriteDecision.RefuseAgain =>
        throw DlcacheErrors.alreadyAppended(path.toString, text(key), current.get.version)
      case WriteDecision.Build | WriteDecision.Replace | WriteDecision.Append => None
    }

    /** How the dataset was written, for an error: from another plan, or from this one with other options. */
    private def difference(there: Manifest): String = {
      val (theirs, ours) = (there.options, conf.writeOptions)
      val same = PlanKey.of(data, theirs, conf.key, conf.python)
      if (theirs == ours || PlanKeyEntry(same.scope, same.digest, same.applicationId) != there.planKey)
        "from another plan"
      else {
        val differing = (theirs.keySet ++ ours.keySet).toSeq.sorted.filter(name => theirs.get(name) != ours.get(name))
        def value(options: Map[String, String], name: String) = options.get(name).fold("not set")(v => s"'$v'")
        val texts = differing.map(name => s"`$name` is ${value(theirs, name)} there and ${value(ours, name)} here")
        val ways = differing.map {
          case DlcacheOption.Dtype.name if theirs.get(DlcacheOption.Dtype.name).contains(DlcacheOption.SourceDtype) =>
            "option(\"dtype\", \"source\"), in Python dtype=None"
          case name if theirs.contains(name) => s"option(\"$name\", \"${theirs(name)}\")"
          case name => s"no option '$name'"
        }
        s"from the same plan with other options (${texts.mkString(", ")}; for a hit give ${ways.mkString(" and ")})"
      }
    }

    /** None, and nothing is written, if the rows may be of another state of an input than the key.
      *
      * The order of docs/format.md §5: a lease, the versions that are there, the shards, the versions again, the manifest.
      */
    def build(): Option[Result] = {
      store.requirePublishable()
      val made = store.missingDirectories()
      if (!store.exists()) ShardFiles.requireFree(path, hadoopConf)
      val job = UUID.randomUUID()
      val lease = LeaseKeeper.driver.ofWriter(path, hadoopConf, job)
      var result: Option[Result] = None
      try {
        lease.base(store.versions().lastOption.getOrElse(0L))
        val current = store.current()
        result = existing(current).orElse(write(current, job, lease))
      } finally if (result.exists(_.isWritten)) lease.close() else cleanUp(job, lease, made)
      result
    }

    private def write(
        current: Option[Manifest],
        job: UUID,
        lease: LeaseKeeper#HeldLease
    ): Option[Result] = {
      val rows = aligned(current)
      val appended = current.filter(_ => decide(current) == WriteDecision.Append)
      val layout = layoutOf(rows, appended)
      appended.foreach(requireFit(_, layout))
      val explanation = planKey.explanation
      requireUnchanged()
      val shards = write(rows, layout, job)
      if (hasMoved) None
      else {
        store.sync(shards.map(_.path))
        val result = publish(next(shards, layout, explanation), current, lease, 1)
        // Before the writer's lease ends: without one of the application `gc` would take it for ended.
        if (result.isWritten && conf.path.isEmpty && key.scope == PlanKey.Session) {
          SessionDatasets.record(session.sparkContext, path, hadoopConf)
        }
        Some(result)
      }
    }

    /** Nothing stays of a write that has published nothing: no shard, and no directory that it made. If a shard may be
      * left, the lease stays, expired, and tells `gc` whose it is. So it does when the outcome of a publication is unknown.
      */
    private def cleanUp(job: UUID, lease: LeaseKeeper#HeldLease, made: Seq[Path]): Unit =
      if (mayBePublished || !ShardFiles.discardJob(path, hadoopConf, job)) lease.expire()
      else {
        lease.close()
        try if (!store.isInUse) made.foreach(DatasetFiles.removeIfEmpty(_, hadoopConf))
        catch {
          case e: IOException => logWarning(s"Could not delete the directories that a failed write made: $path", e)
        }
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
    private def hasMoved: Boolean = {
      val moved = planKey.states.nonEmpty && WriteCommand.this.planKey().states != planKey.states
      if (!moved) planKey.files.changed(hadoopConf).foreach { file =>
        throw DlcacheErrors.filesChanged(path.toString, file)
      }
      moved
    }

    private def next(shards: Seq[WrittenShard], layout: ShardLayout, explanation: JsonNode) = NextVersion(
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

    /** Decides again whenever another writer was first.
      *
      * @param seen the version that was current when it was last looked at
      */
    @tailrec
    private def publish(
        next: NextVersion,
        seen: Option[Manifest],
        lease: LeaseKeeper#HeldLease,
        attempt: Int
    ): Result = {
      if (attempt > MaxAttempts) throw DlcacheErrors.datasetChanged(path.toString, MaxAttempts)
      val highest = highestVersion(next.shards.map(_.path), lease)
      val current = if (seen.exists(_.version == highest)) seen else store.current()
      if (mode == SaveMode.Append && seen.isDefined && current.isEmpty)
        throw DlcacheErrors.datasetDeleted(path.toString)
      existing(current) match {
        case Some(result) => result
        case None =>
          val version = current.fold(0L)(_.version) + 1
          val manifest = current match {
            case Some(there) if decide(current) == WriteDecision.Append =>
              requireFit(there, next.layout)
              val appended = next.appendedTo(there, version)
              if (!conf.allowsShapes)
                Alignment.shapes(there, appended).foreach(mismatch => throw appendMismatch(mismatch))
              appended
            case _ => next.as(version)
          }
          if (published(manifest)) Result("miss, written", manifest, isHit = false, isWritten = true)
          else publish(next, current, lease, attempt + 1)
      }
    }

    /** The highest version, under a lease that says so, with no deletion at work that may take it or a higher one. */
    @tailrec
    private def highestVersion(shards: Seq[String], lease: LeaseKeeper#HeldLease): Long = {
      if (!lease.confirm() && store.missing(shards).nonEmpty) throw DlcacheErrors.writeExpired(path.toString)
      val (versions, texts) = store.versionsAndRecords()
      val records = texts.map(DeletionRecord.parse)
      if (records.exists(_.takes(shards))) throw DlcacheErrors.writeExpired(path.toString)
      val highest = versions.lastOption.getOrElse(0L)
      if (records.exists(_.mayDeleteFrom(highest, Instant.now()))) {
        Thread.sleep(DeletionPauseMillis)
        highestVersion(shards, lease)
      } else if (lease.baseVersion.exists(_ > highest)) {
        lease.base(highest)
        highestVersion(shards, lease)
      } else highest
    }

    /** An error other than our own may come from a publication that did take place. */
    private def published(manifest: Manifest): Boolean =
      try {
        mayBePublished = true
        mayBePublished = store.publish(manifest)
        mayBePublished
      } catch {
        case e: DlcacheException =>
          mayBePublished = false
          throw e
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

    private def write(rows: DataFrame, layout: ShardLayout, job: UUID): Seq[WrittenShard] = {
      val options = ShardOptions(conf.rowGroupBytes, conf.compression)
      val targetBytes = Option.when(conf.shards.isEmpty)(conf.targetShardBytes)
      def run(arranged: DataFrame) =
        new ShardJob(path, hadoopConf, rows.schema, layout, options, targetBytes, job).run(arranged)
      val arrangement = Arrangement(conf.shards, conf.shuffle)
      val shards = run(arrangement.of(rows))
      if (arrangement.isShort(shards.size, shards.map(_.summary.rows).sum)) {
        ShardFiles.discard(path, hadoopConf, shards.map(_.path))
        run(arrangement.ofCoalesced(rows))
      } else shards
    }
  }
}

private[dlcache] object WriteCommand {

  /** Each attempt fails only because another writer has published, so this many is a sign of something else. */
  private val MaxAttempts = 100

  /** How long to wait for a deletion that is at work: it stops as soon as it sees that a writer is here. */
  private val DeletionPauseMillis = 50L

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
  final private case class Result(what: String, manifest: Manifest, isHit: Boolean, isWritten: Boolean = false)

  /** A key as messages show it. */
  private def text(key: PlanKeyEntry): String =
    s"${key.digest} (${key.scope}${key.applicationId.fold("")(id => s" to $id")})"
}
