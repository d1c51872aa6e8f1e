package io.dlcache.key

import io.dlcache.spark.PlanLeaf
import net.razorvine.pickle.PickleException
import org.apache.spark.sql.types.{DataType, StructField, StructType}

/** The state of one input, as it goes into the key and into the explanation. */
sealed private[key] trait InputState {

  /** Of everything that can change the input's rows. */
  def digest: Digest
}

private[key] object InputState {

  /** @param files sorted by path
    * @param named files that the options name and the reader obeys
    */
  final case class Files(
      format: String,
      roots: Seq[String],
      options: Map[String, String],
      files: Seq[PlanLeaf.FileState],
      named: Seq[PlanLeaf.FileState],
      digest: Digest
  ) extends InputState

  final case class Table(
      kind: String,
      name: String,
      id: String,
      version: String,
      options: Map[String, String],
      digest: Digest
  ) extends InputState

  final case class Local(rows: Long, bytes: Long, digest: Digest) extends InputState

  /** A function of the moment or of the session that stays the same for a while, such as `current_date()`. */
  final case class Current(function: String, value: String, digest: Digest) extends InputState

  /** Something that is only itself within its application. */
  final case class Session(description: String, digest: Digest) extends InputState

  /** Local rows of more bytes than this are not hashed. Spark itself moves larger local data out of the plan. */
  val LocalBytes: Long = 256L << 20

  /** Options that say where the files are: the files say that already. */
  private val PathOptions = Set("path", "paths", "__paths__")

  def files(leaf: PlanLeaf.Files): Files = {
    val partitions = leaf.partitions()
    val types = leaf.partitionSchema.fields.map(_.dataType)
    val withValues = partitions.flatMap { partition =>
      val values = Digest { sink =>
        val unknown = RowEncoder.writeRow(sink, partition.values, types)
        require(unknown.isEmpty, s"partition values of ${leaf.roots.mkString(", ")} hold a ${unknown.mkString}")
      }
      partition.files.map(file => (file, values))
    }
    val sorted = withValues.sortBy(_._1.path)
    val options = leaf.options.map { case (name, value) =>
      (name.toLowerCase(java.util.Locale.ROOT), value)
    } -- PathOptions
    val digest = Digest { sink =>
      sink.string("files").string(leaf.format)
      sink.string(CanonicalJson(leaf.dataSchema.json)).string(CanonicalJson(leaf.partitionSchema.json))
      writeMap(sink, options)
      sink.long('n', sorted.length.toLong)
      sorted.foreach { case (file, values) =>
        writeFile(sink, file)
        sink.part(values)
      }
      leaf.named.foreach(writeFile(sink, _))
    }
    Files(leaf.format, leaf.roots, options, sorted.map(_._1), leaf.named, digest)
  }

  private def writeFile(sink: DigestSink, file: PlanLeaf.FileState): Unit = {
    sink.string(file.path).long('l', file.length).long('l', file.modified)
    file.etag.foreach(sink.string("etag").string(_))
  }

  /** @param extra digest of what else the relation holds */
  def table(leaf: PlanLeaf.VersionedTable, extra: Digest): Table = {
    val digest = Digest { sink =>
      sink.string("table").string(leaf.kind).string(leaf.name).string(leaf.id).string(leaf.version)
      sink.string(CanonicalJson(leaf.schema.json)).part(extra)
      writeMap(sink, leaf.options)
    }
    Table(leaf.kind, leaf.name, leaf.id, leaf.version, leaf.options, digest)
  }

  /** @return why the rows cannot be told by their content, if they cannot */
  def local(leaf: PlanLeaf.Rows, types: Seq[DataType], limit: Long = LocalBytes): Either[Reason, Local] = {
    val array = types.toArray
    contentOf("local", leaf.rows.iterator, types, limit)(RowEncoder.writeRow(_, _, array))
  }

  /** As `local`, of rows that are Python's values. */
  def python(leaf: PlanLeaf.PythonList, types: Seq[DataType], limit: Long = LocalBytes): Either[Reason, Local] =
    try contentOf("python", leaf.content.rows(), types, limit)(PythonValueEncoder.write)
    catch { case error: PickleException => Left(Reason.unknownValue("local rows", s"pickle (${error.getMessage})")) }

  /** As `local`, of Arrow's batches: their bytes. */
  def arrow(leaf: PlanLeaf.ArrowList, types: Seq[DataType], limit: Long = LocalBytes): Either[Reason, Local] = {
    val kind = s"arrow ${leaf.content.settings.mkString("\n")}"
    contentOf(kind, leaf.content.batches.iterator, types, limit) { (sink, batch) =>
      sink.bytes('y', batch)
      None
    }.map(_.copy(rows = leaf.content.rows))
  }

  private def contentOf[A](kind: String, rows: Iterator[A], types: Seq[DataType], limit: Long)(
      write: (DigestSink, A) => Option[String]
  ): Either[Reason, Local] = {
    val sink = new DigestSink
    sink.string(kind).string(CanonicalJson(StructType(types.map(StructField("", _))).json))
    var count = 0L
    var unknown: Option[String] = None
    while (unknown.isEmpty && sink.size <= limit && rows.hasNext) {
      unknown = write(sink, rows.next())
      count += 1
    }
    unknown match {
      case Some(value) => Left(Reason.unknownValue("local rows", value))
      case None if sink.size > limit => Left(Reason.largeLocalData(limit))
      case None => Right(Local(count, sink.size, sink.digest()))
    }
  }

  def current(function: String, value: String): Current =
    Current(function, value, Digest(_.string("current").string(function).string(value)))

  def session(description: String, number: Long): Session =
    Session(description, Digest(_.string("session").string(description).long('o', number)))

  def writeMap(sink: DigestSink, map: Map[String, String]): Unit = {
    sink.long('M', map.size.toLong)
    map.toSeq.sorted.foreach { case (name, value) => sink.string(name).string(value) }
  }
}
