package io.dlcache.lifecycle

import java.nio.file.{Files, Path => LocalPath}
import java.time.{Duration, Instant}
import java.util.UUID
import java.util.concurrent.ConcurrentLinkedQueue

import scala.jdk.CollectionConverters._

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.scalatest.funsuite.AnyFunSuite

class LeaseKeeperSuite extends AnyFunSuite {

  private val conf = new Configuration(false)

  private def inDirectory(body: LocalPath => Unit): Unit = {
    val directory = Files.createTempDirectory("leases")
    try body(directory)
    finally {
      val all = Files.walk(directory)
      try all.iterator().asScala.toSeq.reverse.foreach(Files.delete)
      finally all.close()
    }
  }

  private def files(directory: LocalPath): Seq[LocalPath] = {
    val leases = directory.resolve("_dlcache/leases")
    if (!Files.exists(leases)) Nil
    else {
      val listing = Files.list(leases)
      try listing.iterator().asScala.toSeq
      finally listing.close()
    }
  }

  private def only(directory: LocalPath): LocalPath = {
    val found = files(directory)
    assert(found.size == 1)
    found.head
  }

  private def read(file: LocalPath) = Lease.parse(Files.readString(file)).get

  test("a lease is there from the taking to the closing") {
    inDirectory { directory =>
      val held = new LeaseKeeper(Duration.ofMinutes(5)).take(new Path(directory.toUri), conf, Lease.Writer, None)
      val file = only(directory)
      assert(read(file).kind == Lease.Writer)
      assert(read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
      assert(new LeaseFiles(new Path(directory.toUri), conf).live() == Seq(read(file)))
      held.close()
      held.close()
      assert(files(directory).isEmpty)
    }
  }

  test("the directory of leases goes with the last of them, and whoever comes meanwhile makes it anew") {
    inDirectory { directory =>
      val leases = new LeaseFiles(new Path(directory.toUri), conf)
      val lease = Lease(Lease.Writer, "here", 1, None, Instant.now())
      val errors = new ConcurrentLinkedQueue[Throwable]
      val threads = (1 to 4).map { _ =>
        new Thread(() =>
          try (1 to 200).foreach { _ =>
              val id = UUID.randomUUID()
              leases.put(id, lease)
              assert(leases.exists(id))
              leases.remove(id)
            }
          catch { case e: Throwable => errors.add(e): Unit }
        )
      }
      threads.foreach(_.start())
      threads.foreach(_.join())
      assert(errors.isEmpty, errors)
      assert(!Files.exists(directory.resolve("_dlcache")))
    }
  }

  test("a renewal moves the end on; a lease whose file is gone is given up") {
    inDirectory { directory =>
      val keeper = new LeaseKeeper(Duration.ofHours(5))
      val held = keeper.take(new Path(directory.toUri), conf, Lease.Application, Some("app-1"))
      val file = only(directory)
      Files.writeString(file, Files.readString(file).replaceAll("\"20[0-9]{2}-", "\"2001-"))
      keeper.renew()
      assert(read(file).expiresAt.isAfter(Instant.now()))
      assert(read(file).applicationId.contains("app-1"))
      Files.delete(file)
      keeper.renew()
      assert(files(directory).isEmpty)
      held.close()
    }
  }

  test("an expired lease stays, and is dead") {
    inDirectory { directory =>
      val keeper = new LeaseKeeper(Duration.ofHours(5))
      keeper.take(new Path(directory.toUri), conf, Lease.Application, Some("app-1")).expire()
      val file = only(directory)
      assert(!read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
      keeper.renew()
      assert(!read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
    }
  }

  test("a lease that cannot be written stops nothing") {
    inDirectory { directory =>
      val file = Files.createFile(directory.resolve("file"))
      val keeper = new LeaseKeeper(Duration.ofHours(5))
      val held = keeper.take(new Path(file.toUri), conf, Lease.Writer, None)
      keeper.renew()
      held.close()
      assert(Files.size(file) == 0)
    }
  }

  test("a closed lease leaves no directories, but what a failed first write left stays known") {
    inDirectory { directory =>
      val keeper = new LeaseKeeper(Duration.ofHours(5))
      keeper.take(new Path(directory.toUri), conf, Lease.Writer, None).close()
      assert(!Files.exists(directory.resolve("_dlcache")))
      val failed = keeper.take(new Path(directory.toUri), conf, Lease.Writer, None)
      Files.createFile(Files.createDirectory(directory.resolve("data")).resolve("part-0.parquet"))
      failed.close()
      assert(!read(only(directory)).isLive(Instant.now(), Processes.host, Processes.isRunning))
    }
  }
}
