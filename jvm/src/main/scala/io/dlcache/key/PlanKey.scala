package io.dlcache.key

import java.util.UUID

import com.fasterxml.jackson.databind.JsonNode
import io.dlcache.spark.{ApplicationIdentity, PlanLeaf, Sessions}
import org.apache.spark.sql.{DataFrame, SparkSession}
import org.apache.spark.sql.catalyst.util.removeInternalMetadata
import org.apache.spark.sql.internal.SQLConf

/** The identity of the rows that a DataFrame has, over the present state of its inputs: docs/plan-key.md.
  *
  * @param scope `durable`, `session` or `user`
  * @param digest 64 hexadecimal digits
  * @param applicationId the Spark application that a session key belongs to
  * @param states of the inputs that may have another one by the time that the plan is executed: tables, files, the day,
  *   and the files that Python functions rest on
  * @param files that the plan reads
  * @param isRepeatable whether the key of the same rows is the same again; if not, it never hits
  */
final private[dlcache] class PlanKey private (
    val scope: String,
    val digest: String,
    val applicationId: Option[String],
    val states: Seq[String],
    val files: InputFiles,
    val isRepeatable: Boolean,
    explain: () => JsonNode
) {

  /** What the key was made of, with secrets hidden. It is made when first asked for: who finds the rows needs none. */
  lazy val explanation: JsonNode = explain()
}

private[dlcache] object PlanKey {
  val Durable = "durable"
  val Session = "session"
  val User = "user"

  /** Raised when the encoding of plans changes. */
  val EncoderVersion = 2

  /** Of the dataset, docs/format.md: other bytes are another dataset. */
  val FormatVersion = 1

  /** Runs no Spark job.
    *
    * @param data analyzed, not streaming
    * @param writeOptions those that change what is written
    * @param userKey the user's own identity for the rows; the plan has no part in such a key
    * @param python what is known of the plan's Python functions
    */
  def of(
      data: DataFrame,
      writeOptions: Map[String, String],
      userKey: Option[String],
      python: PythonSources
  ): PlanKey = {
    val session = data.sparkSession
    SQLConf.withExistingConf(data.queryExecution.sparkSession.sessionState.conf) {
      userKey.fold(ofPlan(session, data, writeOptions, python))(ofUser(session, data, writeOptions, _))
    }
  }

  def of(data: DataFrame, writeOptions: Map[String, String], userKey: Option[String]): PlanKey =
    of(data, writeOptions, userKey, PythonSources.none)

  private def ofPlan(
      session: SparkSession,
      data: DataFrame,
      options: Map[String, String],
      python: PythonSources
  ): PlanKey = {
    val encoder = new PlanEncoder(
      current = new CurrentValues(Sessions.currentValueRules(data)),
      python = python,
      isAsNow = planned => (planned ne session) && settingsOf(planned) == settingsOf(session)
    )
    val plan = encoder.encode(PlanLeaf.executed(data))
    val scope = if (encoder.reasons.isEmpty) Durable else Session
    val application = Option.when(scope == Session)(ApplicationIdentity.of(session.sparkContext))
    val layout = layoutOf(encoder, session, data)
    val parts = Explanation.Parts(
      scope,
      majorMinor(session.version),
      userKey = None,
      plan = Some(data.queryExecution.analyzed),
      schema = schemaOf(data),
      encoder.inputs,
      SemanticConfs.of(session, encoder.usesPython),
      if (encoder.inputs.exists(isStored)) HadoopSettings.of(session) else Map.empty,
      layout,
      options,
      encoder.reasons,
      encoder.functions.functions
    )
    val digest = Digest { sink =>
      writeHead(sink, parts)
      sink.string(application.getOrElse("")).part(plan)
      InputState.writeMap(sink, parts.confs)
      InputState.writeMap(sink, parts.hadoop)
      InputState.writeMap(sink, layout)
      if (!encoder.isRepeatable) sink.string(UUID.randomUUID().toString)
    }
    new PlanKey(
      scope,
      digest.hex,
      application,
      encoder.inputs.filter(mayMove).map(_.digest.hex) ++ encoder.functions.states.map(_.hex),
      new InputFiles(encoder.inputs.collect { case files: InputState.Files =>
        files.options -> (files.files ++ files.named)
      }),
      encoder.isRepeatable,
      explain(parts)
    )
  }

  private def settingsOf(session: SparkSession) =
    (SemanticConfs.of(session, python = true), HadoopSettings.of(session))

  private def layoutOf(encoder: PlanEncoder, session: SparkSession, data: DataFrame): Map[String, String] =
    PhysicalLayout.of(encoder.dependsOn, session, data) ++ (
      if (encoder.dependsOn == PhysicalLayout.Irrelevant) Nil
      else encoder.layout.zipWithIndex.map { case (fact, i) => s"plan.$i" -> fact }
    )

  private def ofUser(session: SparkSession, data: DataFrame, options: Map[String, String], key: String): PlanKey = {
    val parts = Explanation.Parts(
      User,
      majorMinor(session.version),
      userKey = Some(key),
      plan = None,
      schema = schemaOf(data),
      inputs = Nil,
      confs = Map.empty,
      hadoop = Map.empty,
      layout = Map.empty,
      options,
      reasons = Nil
    )
    val digest = Digest(sink => writeHead(sink, parts).string(key)).hex
    new PlanKey(User, digest, None, states = Nil, new InputFiles(Nil), isRepeatable = true, explain(parts))
  }

  /** Whether files are read for it, its own or those of a table. */
  private def isStored(input: InputState): Boolean = input match {
    case _: InputState.Files | _: InputState.Table => true
    case _ => false
  }

  private def mayMove(input: InputState): Boolean = input match {
    case _: InputState.Current => true
    case other => isStored(other)
  }

  /** What all keys are made of. A user's key is the user's promise about the rows, so Spark's version is not in it. */
  private def writeHead(sink: DigestSink, parts: Explanation.Parts): DigestSink = {
    sink.string("dlcache plan key").long('i', EncoderVersion.toLong).long('i', FormatVersion.toLong)
    sink.string(parts.scope)
    if (parts.scope != User) sink.string(parts.sparkVersion)
    sink.string(parts.schema)
    InputState.writeMap(sink, parts.options)
    sink
  }

  private def explain(parts: Explanation.Parts): () => JsonNode = {
    val conf = SQLConf.get
    () => SQLConf.withExistingConf(conf)(new Explanation(Redaction.of(conf)).of(parts))
  }

  private def schemaOf(data: DataFrame): String = CanonicalJson(removeInternalMetadata(data.schema).json)

  /** Built-in functions may give other results in another minor version of Spark; a patch release does not change them. */
  private def majorMinor(version: String): String = version.split('.').take(2).mkString(".")
}
