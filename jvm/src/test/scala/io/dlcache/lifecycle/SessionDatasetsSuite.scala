package io.dlcache.lifecycle

import io.dlcache.WriteTest
import org.apache.hadoop.fs.Path
import io.dlcache.spark.{ApplicationIdentity, Sessions}
import org.scalatest.funsuite.AnyFunSuite

class SessionDatasetsSuite extends AnyFunSuite with WriteTest {

  private val conf = Sessions.hadoopConf(spark)

  private def publish(path: String, scope: String, application: Option[String]): Unit = {
    val manifest =
      io.dlcache.manifest.Manifests.empty(1, spark.range(1).schema, Seq(io.dlcache.manifest.Manifests.column("id")))
    val key = manifest.planKey.copy(scope = scope, applicationId = application)
    assert(store(path).publish(manifest.copy(planKey = key)))
  }

  test("at the end of an application its own datasets go, and nothing else") {
    val application = ApplicationIdentity.of(spark.sparkContext)
    val (own, durable, ofAnother, foreign) = (newPath(), newPath(), newPath(), newPath())
    publish(own, "session", Some(application))
    publish(durable, "durable", None)
    publish(ofAnother, "session", Some("another"))
    java.nio.file.Files.createDirectories(java.nio.file.Path.of(foreign, "sub"))
    Seq(own, durable, ofAnother, foreign).foreach(path =>
      SessionDatasets.record(spark.sparkContext, new Path(path), conf)
    )
    SessionDatasets.end("another")
    assert(store(own).exists())
    SessionDatasets.end(application)
    assert(!new java.io.File(own).exists())
    assert(store(durable).exists() && store(ofAnother).exists() && new java.io.File(foreign, "sub").exists())
    publish(own, "session", Some(application))
    SessionDatasets.end(application)
    assert(store(own).exists())
  }
}
