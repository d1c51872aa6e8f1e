package io.dlcache.lifecycle

import java.io.IOException
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
  private val job = UUID.randomUUID()

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
      val held = new LeaseKeeper(Duration.ofMinutes(5)).ofWriter(new Path(directory.toUri), conf, job)
      val file = only(directory)
      assert(read(file).kind == Lease.Writer)
      assert(read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
      assert(read(file).job.contains(job.toString) && read(file).baseVersion.isEmpty)
      assert(new LeaseFiles(new Path(directory.toUri), conf).live().contains(Seq(read(file))))
      held.base(7)
      assert(read(only(directory)).baseVersion.contains(7L))
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
      val held = keeper.ofApplication(new Path(directory.toUri), conf, "app-1")
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
      keeper.ofApplication(new Path(directory.toUri), conf, "app-1").expire()
      val file = only(directory)
      assert(!read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
      keeper.renew()
      assert(!read(file).isLive(Instant.now(), Processes.host, Processes.isRunning))
    }
  }

  test("a writer whose lease cannot be written does not begin; an application goes on") {
    inDirectory { directory =>
      val file = Files.createFile(directory.resolve("file"))
      val keeper = new LeaseKeeper(Duration.ofHours(5))
      intercept[IOException](keeper.ofWriter(new Path(file.toUri), conf, job))
      val held = keeper.ofApplication(new Path(file.toUri), conf, "app-1")
      keeper.renew()
      held.close()
      assert(Files.size(file) == 0)
    }
  }

  test("a writer that was halted until its lease expired takes one under another name") {
    inDirectory { directory =>
      val held = new LeaseKeeper(Duration.ZERO).ofWriter(new Path(directory.toUri), conf, job)
      val before = only(directory)
      held.confirm()
      assert(only(directory) != before && read(only(directory)).job.contains(job.toString))
    }
  }

  test("a writer whose lease was deleted by force has one again before it publishes") {
    inDirectory { directory =>
      val held = new LeaseKeeper(Duration.ofHours(5)).ofWriter(new Path(directory.toUri), conf, job)
      Files.delete(only(directory))
      held.confirm()
      assert(read(only(directory)).job.contains(job.toString))
    }
  }

  test("a closed lease leaves no directories") {
    inDirectory { directory =>
      new LeaseKeeper(Duration.ofHours(5)).ofWriter(new Path(directory.toUri), conf, job).close()
      assert(!Files.exists(directory.resolve("_dlcache")))
    }
  }
}
