package io.dlcache

import java.io.IOException
import java.net.URI
import java.util.concurrent.ConcurrentHashMap

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.LocalFileSystem
import org.apache.spark.TaskContext

/** The local file system for those who have the key. */
class GuardedFileSystem extends LocalFileSystem {
  override def initialize(uri: URI, conf: Configuration): Unit = {
    if (conf.get(GuardedFileSystem.Key) != "right") throw new IOException("this key is not the right one")
    GuardedFileSystem.askedInTask.add(TaskContext.get() != null)
    super.initialize(uri, conf)
  }
}

object GuardedFileSystem {
  val Key = "fs.guarded.Secret"

  /** Whether a task, and whether the driver, has asked. */
  val askedInTask: ConcurrentHashMap.KeySetView[Boolean, java.lang.Boolean] = ConcurrentHashMap.newKeySet[Boolean]()

  def options(key: String): Map[String, String] =
    Map("fs.file.impl" -> classOf[GuardedFileSystem].getName, "fs.file.impl.disable.cache" -> "true", Key -> key)
}
