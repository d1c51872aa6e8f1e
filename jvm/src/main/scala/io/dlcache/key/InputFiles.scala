package io.dlcache.key

import java.io.FileNotFoundException
import java.util.concurrent.{Callable, Executors}

import scala.jdk.CollectionConverters._

import io.dlcache.spark.PlanLeaf.FileState
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileStatus, Path}

/** The files that a key was made of, to look at again: before they are read, and before their rows are published.
  *
  * @param inputs the files of each input with its options, which may say how to reach them
  */
final private[dlcache] class InputFiles(inputs: Seq[(Map[String, String], Seq[FileState])]) {
  import InputFiles._

  /** How long to wait before the files are read, in ms, so that every later change gives a file another time: until the
    * clock of its file system has moved on since the file was listed. A file that is old enough, or that has an ETag,
    * needs no waiting.
    */
  def settling(now: Long): Long = inputs.iterator.flatMap(_._2.groupBy(file => parentOf(file.path)).values).map {
    directory =>
      val young = directory.exists(file => file.etag.isEmpty && now - file.modified < Old)
      if (!young) 0L else if (directory.exists(_.modified % 1000 != 0)) FineClock else CoarseClock
  }.maxOption.getOrElse(0L)

  /** A file that is not as it was listed, if there is one. Directories are listed by several threads. */
  def changed(conf: Configuration): Option[String] = inputs.iterator.flatMap { case (options, files) =>
    val ofInput = new Configuration(conf)
    options.foreach { case (name, value) => if (value != null) ofInput.set(name, value) }
    val directories = files.groupBy(file => parentOf(file.path)).toSeq
    inParallel(directories) { case (parent, there) => changedIn(new Path(parent), there, ofInput) }
  }.nextOption()

  private def changedIn(parent: Path, files: Seq[FileState], conf: Configuration): Option[String] = {
    val fs = parent.getFileSystem(conf)
    def alone(file: FileState): Option[FileStatus] =
      try Some(fs.getFileStatus(new Path(file.path)))
      catch { case _: FileNotFoundException => None }
    lazy val listed: Map[String, FileStatus] =
      try fs.listStatus(parent).map(status => status.getPath.getName -> status).toMap
      catch { case _: FileNotFoundException => Map.empty }
    def inList(file: FileState): Option[FileStatus] = listed.get(new Path(file.path).getName)
    // Stores may give times of another precision for one file than in a list, and Spark may have asked either way.
    val (first, second) = if (files.sizeIs > FewFiles) (inList _, alone _) else (alone _, inList _)
    files.find(file => !first(file).exists(isSame(file, _)) && !second(file).exists(isSame(file, _))).map(_.path)
  }
}

private[dlcache] object InputFiles {

  /** As many files of a directory are asked for one by one; of more the directory is listed. */
  private val FewFiles = 8

  /** Threads that look at directories; each waits for its store. */
  private val Threads = 16

  /** A file that was changed longer ago than this, in ms, is not young, even if the clocks of the store and of this
    * machine disagree by less.
    */
  private val Old = 60000L

  /** The longest step of clocks that give parts of a second, in ms: the timer of Linux ticks every 1 to 10 ms. */
  private val FineClock = 20L

  /** The longest step of clocks that give whole seconds: FAT's has 2. */
  private val CoarseClock = 2000L

  def isSame(file: FileState, now: FileStatus): Boolean = {
    val state = FileState.of(now)
    state.length == file.length && (
      if (file.etag.isDefined && state.etag.isDefined) state.etag == file.etag else state.modified == file.modified
    )
  }

  private def parentOf(path: String): String = path.substring(0, path.lastIndexOf('/') + 1)

  private def inParallel[A](items: Seq[A])(find: A => Option[String]): Option[String] =
    if (items.sizeIs < 2) items.flatMap(find(_)).headOption
    else {
      val pool = Executors.newFixedThreadPool(math.min(Threads, items.size))
      try {
        val tasks = items.map(item => (() => find(item)): Callable[Option[String]])
        pool.invokeAll(tasks.asJava).asScala.iterator.flatMap(_.get()).nextOption()
      } finally pool.shutdown()
    }
}
