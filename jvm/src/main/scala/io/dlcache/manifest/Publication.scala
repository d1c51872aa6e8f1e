package io.dlcache.manifest

import java.io.{FileNotFoundException, IOException}
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.nio.file.{FileAlreadyExistsException, FileSystemException, Files, LinkOption, Path => LocalPath}
import java.nio.file.{StandardCopyOption, StandardOpenOption}
import java.util.UUID

import scala.annotation.tailrec
import scala.language.existentials

import io.dlcache.error.DlcacheErrors
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileAlreadyExistsException => HadoopFileAlreadyExistsException, FileContext, FileSystem}
import org.apache.hadoop.fs.{Options, Path}
import org.apache.spark.internal.Logging

/** Creates one file so that readers see the whole of it or nothing, and of several writers exactly one succeeds. */
sealed private[manifest] trait Publication {

  /** @return true if this call created the file, false if it was there */
  def publish(bytes: Array[Byte]): Boolean
}

private[manifest] object Publication {

  /** Rename without replacement is atomic in the name node. */
  private[manifest] val HdfsSchemes = Set("hdfs", "webhdfs", "swebhdfs")
  private[manifest] val AzureSchemes = Set("abfs", "abfss")
  private val GoogleSchemes = Set("gs")
  private val S3Schemes = Set("s3", "s3a", "s3n")

  /** Hadoop's `createFile` option for a put that fails if the object is there, since 3.4.2 (the constants are not in
    * older versions, which this class must load on).
    */
  private[manifest] val ConditionalOverwrite = "fs.option.create.conditional.overwrite"

  /** Azure has it if, and only if, the account has a hierarchical namespace: there a rename is atomic. */
  private[manifest] val EtagsPreservedInRename = "fs.capability.etags.preserved.in.rename"

  sealed trait Method
  case object LinkLocally extends Method
  case object RenameWithoutReplacing extends Method
  case object PutConditionally extends Method
  case object CreateExclusively extends Method

  /** How a store is published to, or why it cannot be.
    *
    * @param capable answers Hadoop's `hasPathCapability`
    */
  def method(scheme: String, capable: String => Boolean): Either[String, Method] = scheme match {
    case "file" => Right(LinkLocally)
    case hdfs if HdfsSchemes(hdfs) => Right(RenameWithoutReplacing)
    case _ if capable(ConditionalOverwrite) => Right(PutConditionally)
    case azure if AzureSchemes(azure) =>
      if (capable(EtagsPreservedInRename)) Right(RenameWithoutReplacing)
      else Left("this storage account has no hierarchical namespace, so its renames are not atomic; use one that has")
    // The connector uploads with a generation precondition of 0, and the object appears when the upload ends.
    case google if GoogleSchemes(google) => Right(CreateExclusively)
    case s3 if S3Schemes(s3) =>
      Left(
        "its file system has no conditional create. S3A has it from Hadoop 3.4.2 on, unless " +
          "fs.s3a.create.conditional.enabled is false; use a newer hadoop-aws"
      )
    case other =>
      Left(s"dlcache knows no way to create a file exclusively on '$other:'; use a local path, HDFS or an object store")
  }

  def of(file: Path, conf: Configuration): Publication = {
    val fs = DatasetFiles.fileSystem(file, conf)
    method(fs.getUri.getScheme, capability => fs.hasPathCapability(file, capability)) match {
      case Right(LinkLocally) => new LocalPublication(DatasetFiles.local(file, conf).get)
      case Right(RenameWithoutReplacing) => new RenamePublication(fs, file, conf)
      case Right(PutConditionally) => new ConditionalPublication(fs, file)
      case Right(CreateExclusively) => new ExclusivePublication(fs, file)
      case Left(reason) => throw DlcacheErrors.storeUnsupported(file.toString, reason)
    }
  }

  def temporaryName(): String = s".${UUID.randomUUID()}.tmp"

  /** After an error that leaves the outcome open (a lost answer, a retried request): ours, another's, or not there.
    * A manifest holds names that are never used twice, so equal bytes are ours.
    */
  def settle(fs: FileSystem, file: Path, bytes: Array[Byte], error: IOException): Boolean =
    try {
      val in = fs.open(file)
      try java.util.Arrays.equals(in.readNBytes(bytes.length + 1), bytes)
      finally in.close()
    } catch { case _: FileNotFoundException => throw error }
}

/** A temporary file and a hard link to it: a link never replaces. */
final private[manifest] class LocalPublication(file: LocalPath) extends Publication {

  import LocalPublication._

  override def publish(bytes: Array[Byte]): Boolean = {
    Files.createDirectories(file.getParent)
    val temporary = file.resolveSibling(Publication.temporaryName())
    try {
      write(temporary, bytes)
      val isPublished =
        try link(temporary)
        catch { case _: UnsupportedOperationException | _: FileSystemException => moveUnderClaim(temporary) }
      DatasetFiles.syncDirectory(file.getParent)
      isPublished
    } finally Files.deleteIfExists(temporary): Unit
  }

  private def write(temporary: LocalPath, bytes: Array[Byte]): Unit = {
    val channel = FileChannel.open(temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)
    try {
      val buffer = ByteBuffer.wrap(bytes)
      while (buffer.hasRemaining) channel.write(buffer)
      channel.force(true)
    } finally channel.close()
  }

  private def link(temporary: LocalPath): Boolean =
    try {
      Files.createLink(file, temporary)
      true
    } catch {
      // A network file system may repeat a request whose answer was lost: the file is ours if it is the same one.
      case _: FileAlreadyExistsException => Files.isSameFile(file, temporary)
    }

  /** For file systems without links (FUSE mounts of object stores, FAT). Who creates the claim may rename. */
  @tailrec
  private[manifest] def moveUnderClaim(temporary: LocalPath, patience: Int = ClaimPatience): Boolean = {
    val claim = file.resolveSibling(s".${file.getFileName}.claim")
    val claimed =
      try {
        Files.createFile(claim)
        true
      } catch { case _: FileAlreadyExistsException => false }
    if (claimed)
      try {
        val free = Files.notExists(file, LinkOption.NOFOLLOW_LINKS)
        if (free) Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE)
        free
      } finally Files.deleteIfExists(claim): Unit
    else if (Files.exists(file)) false
    else if (patience == 0)
      throw DlcacheErrors.storeUnsupported(
        file.toString,
        s"another writer has held $claim for ${ClaimPatience * ClaimPauseMillis / 1000} seconds. If none is running, delete that file"
      )
    else {
      Thread.sleep(ClaimPauseMillis.toLong)
      moveUnderClaim(temporary, patience - 1)
    }
  }
}

private[manifest] object LocalPublication {
  private val ClaimPauseMillis = 50
  private val ClaimPatience = 200
}

/** A temporary file and `rename2`, which fails if the name is taken. */
final private[manifest] class RenamePublication(fs: FileSystem, file: Path, conf: Configuration)
    extends Publication
    with Logging {

  override def publish(bytes: Array[Byte]): Boolean = {
    val temporary = new Path(file.getParent, Publication.temporaryName())
    fs.mkdirs(file.getParent)
    val out = fs.create(temporary, false)
    try {
      try out.write(bytes)
      finally out.close()
      rename(temporary, bytes)
    } finally discard(temporary)
  }

  private def rename(temporary: Path, bytes: Array[Byte]): Boolean =
    try {
      FileContext.getFileContext(fs.getUri, conf).rename(temporary, file, Options.Rename.NONE)
      true
    } catch {
      case _: HadoopFileAlreadyExistsException => false
      case e: IOException => Publication.settle(fs, file, bytes, e)
    }

  /** The version is published or it is not: a file that is left over changes neither, and `gc` removes it. */
  private def discard(temporary: Path): Unit =
    try fs.delete(temporary, false): Unit
    catch { case e: IOException => logWarning(s"Could not delete the temporary file $temporary", e) }
}

/** A put that the store refuses if the object is there. */
final private[manifest] class ConditionalPublication(fs: FileSystem, file: Path) extends Publication {

  override def publish(bytes: Array[Byte]): Boolean =
    try {
      val builder = fs.createFile(file)
      builder.create()
      builder.overwrite(true)
      builder.must(Publication.ConditionalOverwrite, true)
      val out = builder.build()
      out.write(bytes)
      out.close()
      true
    } catch { case e: IOException => Publication.settle(fs, file, bytes, e) }
}

/** For stores where `create` without overwriting is itself exclusive, and shows nothing before `close`. */
final private[manifest] class ExclusivePublication(fs: FileSystem, file: Path) extends Publication {

  override def publish(bytes: Array[Byte]): Boolean =
    try {
      val out = fs.create(file, false)
      out.write(bytes)
      out.close()
      true
    } catch { case e: IOException => Publication.settle(fs, file, bytes, e) }
}
