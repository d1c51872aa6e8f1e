package io.dlcache.lifecycle

import java.io.IOException
import java.net.InetAddress
import java.nio.charset.StandardCharsets
import java.nio.file.{Files, Path, Paths}

/** Who runs where, in the words of docs/format.md §6: Python computes the same. */
private[dlcache] object Processes {

  private val proc: Path = Paths.get("/proc")

  /** Names the table of processes that this one sees: a restarted machine or another container is another host. */
  lazy val host: String =
    try {
      val kernel = proc.resolve("sys/kernel")
      val namespace = Files.readSymbolicLink(proc.resolve("self/ns/pid"))
      s"${read(kernel.resolve("hostname"))} ${read(kernel.resolve("random/boot_id"))} $namespace"
    } catch { case _: IOException => InetAddress.getLocalHost.getHostName }

  def ownPid: Long = ProcessHandle.current().pid()

  /** When the process started, in clock ticks since the boot; None where the system does not say. */
  def startOf(pid: Long): Option[String] = stat(pid).map(_(StartField))

  /** Whether the process with this pid and start is there; None if nobody can say. */
  def isRunning(pid: Long, start: Option[String]): Option[Boolean] =
    if (!ProcessHandle.of(pid).isPresent) Some(false)
    else
      stat(pid) match {
        case Some(fields) if Ended(fields(0)) => Some(false)
        case Some(fields) => start.map(_ == fields(StartField))
        case None => None
      }

  /** Behind the name of the command: the state first. */
  private val StartField = 19
  private val Ended = Set("Z", "X")

  private def stat(pid: Long): Option[Array[String]] =
    try {
      val text = read(proc.resolve(s"$pid/stat"))
      Some(text.substring(text.lastIndexOf(')') + 2).split(' '))
    } catch { case _: IOException => None }

  private def read(file: Path): String = new String(Files.readAllBytes(file), StandardCharsets.UTF_8).trim
}
