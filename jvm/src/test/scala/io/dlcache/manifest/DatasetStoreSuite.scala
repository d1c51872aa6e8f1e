package io.dlcache.manifest

import java.nio.charset.StandardCharsets
import java.nio.file.{Files, Path => LocalPath}
import java.util.UUID
import java.util.concurrent.{Callable, Executors}

import scala.jdk.CollectionConverters._

import io.dlcache.error.DlcacheException
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.scalatest.funsuite.AnyFunSuite

class DatasetStoreSuite extends AnyFunSuite {

  private val conf = new Configuration()

  private def withDirectory[T](body: LocalPath => T): T = {
    val directory = Files.createTempDirectory("dlcache-store")
    try body(directory)
    finally deleteTree(directory)
  }

  private def deleteTree(directory: LocalPath): Unit = {
    val paths = Files.walk(directory)
    try paths.iterator().asScala.toSeq.reverse.foreach(Files.delete)
    finally paths.close()
  }

  private def names(directory: LocalPath): Seq[String] = {
    val paths = Files.list(directory)
    try paths.iterator().asScala.map(_.getFileName.toString).toSeq.sorted
    finally paths.close()
  }

  private def store(directory: LocalPath) = new DatasetStore(new Path(directory.toUri), conf)

  private def condition(body: => Any): String = intercept[DlcacheException](body).getCondition

  test("versions are published one after another, and the highest is current") {
    withDirectory { directory =>
      val dataset = store(directory.resolve("a set, ünd \"more\" 100%41"))
      assert(!dataset.exists() && dataset.current().isEmpty && dataset.versions().isEmpty)
      val manifests = Seq(1L, 2L, 10L).map(Manifests.empty(_))
      manifests.foreach(manifest => assert(dataset.publish(manifest)))
      assert(dataset.versions() == Seq(1L, 2L, 10L))
      assert(dataset.current().contains(manifests.last))
      assert(dataset.read(2) == manifests(1))
    }
  }

  test("a version that is taken is not replaced, and nothing is left beside the manifests") {
    withDirectory { directory =>
      val dataset = store(directory)
      val first = Manifests.empty()
      assert(dataset.publish(first))
      assert(!dataset.publish(Manifests.empty()))
      assert(dataset.current().contains(first))
      assert(names(directory) == Seq("_dlcache"))
      assert(names(directory.resolve("_dlcache")) == Seq("00000000000000000001.json"))
    }
  }

  test("of many writers of one version exactly one succeeds") {
    withDirectory { directory =>
      val pool = Executors.newFixedThreadPool(8)
      try
        for (version <- 1L to 20L) {
          val manifests = Seq.fill(8)(Manifests.empty(version))
          val tasks = manifests.map(m => (() => store(directory).publish(m)): Callable[Boolean])
          val won = pool.invokeAll(tasks.asJava).asScala.map(_.get()).zip(manifests).collect { case (true, m) => m }
          assert(won.size == 1)
          assert(store(directory).read(version) == won.head)
        }
      finally pool.shutdown()
      assert(names(directory.resolve("_dlcache")).size == 20)
    }
  }

  test("files of other names under _dlcache are ignored") {
    withDirectory { directory =>
      val dataset = store(directory)
      dataset.publish(Manifests.empty(2))
      Seq(
        s".${UUID.randomUUID()}.tmp",
        "3.json",
        "00000000000000000003.json.bak",
        "99999999999999999999.json",
        "00000000000000000000.json",
        "0000000000000000000a.json",
        "leases"
      )
        .foreach(name => Files.createFile(directory.resolve("_dlcache").resolve(name)))
      assert(dataset.versions() == Seq(2L))
    }
  }

  test("a version that is not there, a dataset that is not there, a manifest under a wrong name") {
    withDirectory { directory =>
      val dataset = store(directory)
      assert(condition(dataset.read(1)) == "DLCACHE_NOT_A_DATASET")
      dataset.publish(Manifests.empty())
      val missing = intercept[DlcacheException](dataset.read(7))
      assert(missing.getCondition == "DLCACHE_VERSION_NOT_FOUND")
      assert(missing.getMessageParameters.get("available") == "1")
      val metadata = directory.resolve("_dlcache")
      Files.copy(metadata.resolve("00000000000000000001.json"), metadata.resolve("00000000000000000002.json"))
      assert(condition(dataset.current()) == "DLCACHE_MANIFEST_INVALID")
      Files.write(metadata.resolve("00000000000000000003.json"), Array[Byte](-1, -2, '{'))
      assert(intercept[DlcacheException](dataset.current()).getMessage.contains("UTF-8"))
    }
  }

  test("a shard lies under the dataset, and special characters in its name are only characters") {
    val dataset = new DatasetStore(new Path("s3a://bucket/a b"), conf)
    val shard = Manifests.sample.shards.head.copy(path = "data/100%41 ü?.parquet")
    assert(dataset.dataPath(shard).toString == "s3a://bucket/a b/data/100%41 ü?.parquet")
  }

  test("manifests take the permissions of the user's umask") {
    withDirectory { directory =>
      store(directory).publish(Manifests.empty())
      val plain = Files.createFile(directory.resolve("plain"))
      val manifest = directory.resolve("_dlcache/00000000000000000001.json")
      assert(Files.getPosixFilePermissions(manifest) == Files.getPosixFilePermissions(plain))
    }
  }

  test("where links do not work, who creates the claim may publish") {
    withDirectory { directory =>
      def publishByClaim(name: String, text: String): Boolean = {
        val file = directory.resolve(name)
        val temporary = Files.write(directory.resolve(s"$text.tmp"), text.getBytes(StandardCharsets.UTF_8))
        try new LocalPublication(file).moveUnderClaim(temporary)
        finally Files.deleteIfExists(temporary): Unit
      }
      val pool = Executors.newFixedThreadPool(4)
      try
        for (round <- 0 until 20) {
          val tasks = (0 until 4).map(i => (() => publishByClaim(s"$round", s"$round-$i")): Callable[Boolean])
          val won = pool.invokeAll(tasks.asJava).asScala.map(_.get()).zipWithIndex.collect { case (true, i) => i }
          assert(won.size == 1)
          assert(Files.readString(directory.resolve(s"$round")) == s"$round-${won.head}")
        }
      finally pool.shutdown()
      assert(names(directory) == (0 until 20).map(_.toString).sorted)
    }
  }

  test("a claim that its owner left behind is named, after a while") {
    withDirectory { directory =>
      Files.createFile(directory.resolve(".1.claim"))
      val publication = new LocalPublication(directory.resolve("1"))
      val error = intercept[DlcacheException](publication.moveUnderClaim(directory.resolve("x"), patience = 1))
      assert(error.getCondition == "DLCACHE_STORE_UNSUPPORTED" && error.getMessage.contains(".1.claim"))
    }
  }

  test("a manifest that readers would refuse is not published") {
    withDirectory { directory =>
      val small = new DatasetStore(new Path(directory.toUri), conf, maxManifestBytes = 100)
      assert(condition(small.publish(Manifests.sample)) == "DLCACHE_MANIFEST_TOO_LARGE")
      val unreadable = Manifests.empty().copy(planKey = PlanKeyEntry("odd", Manifests.digest, None))
      assert(condition(store(directory).publish(unreadable)) == "DLCACHE_MANIFEST_INVALID")
      assert(!store(directory).exists())
    }
  }

  test("a lost shard is one that is missing or has another length") {
    withDirectory { directory =>
      val dataset = store(directory)
      val shards = Seq(0, 1).map(i => ShardEntry(ShardName.of(UUID.randomUUID(), i, 0), 1, 1, 4, 0, 1, Nil))
      val manifest = Manifests.empty().copy(shards = shards)
      assert(dataset.lost(manifest).map(_._1).contains(shards.head))
      Files.createDirectory(directory.resolve("data"))
      shards.foreach(shard => Files.writeString(directory.resolve(shard.path), "PAR1"))
      assert(dataset.lost(manifest).isEmpty)
      assert(dataset.missing(shards.map(_.path) :+ "data/none") == Seq("data/none"))
      dataset.sync(shards.map(_.path))
      Files.writeString(directory.resolve(shards.last.path), "PAR")
      assert(dataset.lost(manifest).contains(shards.last -> "has 3 bytes instead of 4"))
    }
  }
}
