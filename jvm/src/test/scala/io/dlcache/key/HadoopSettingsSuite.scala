package io.dlcache.key

import org.apache.spark.sql.DataFrame

/** Hadoop settings that readers of files obey. */
class HadoopSettingsSuite extends KeySuite {

  private lazy val table = parquet("table")
  private def read(): DataFrame = spark.read.parquet(table)

  private def withHadoop[A](name: String, value: String)(body: => A): A = {
    val conf = spark.sparkContext.hadoopConfiguration
    val before = conf.getRaw(name)
    conf.set(name, value)
    try body
    finally if (before == null) conf.unset(name) else conf.set(name, before)
  }

  test("settings that are not Hadoop's defaults count, of the application and of the session") {
    val before = durable(read())
    Seq(
      "orc.force.positional.evolution" -> "true",
      "mapreduce.input.linerecordreader.line.maxlength" -> "3",
      "io.compression.codecs" -> "org.apache.hadoop.io.compress.GzipCodec",
      "someone.elses.setting" -> "1"
    ).foreach { case (name, value) =>
      val ofApplication = withHadoop(name, value)(durable(read()))
      val ofSession = withConf(name -> value)(durable(read()))
      assert(ofApplication != before && ofSession == ofApplication, name)
    }
    assert(durable(read()) == before)
  }

  test("rows that a setting of Hadoop changes have another key") {
    val path = scratch.resolve("orc").toString
    spark.range(1).selectExpr("1 as x", "2 as y").write.orc(path)
    def rows() = spark.read.schema("a int, b int").orc(path)
    val (before, key) = (rows().collect().toSeq, durable(rows()))
    withHadoop("orc.force.positional.evolution", "true") {
      assert(rows().collect().toSeq != before)
      assert(durable(rows()) != key)
    }
  }

  test("settings that say how to reach a store do not count, nor those equal to a default") {
    val before = durable(read())
    Seq(
      "fs.s3a.secret.key" -> "hunter2",
      "fs.s3a.endpoint" -> "http://localhost",
      "hadoop.security.authentication" -> "kerberos",
      "io.file.buffer.size" -> "4097",
      "dfs.client.socket-timeout" -> "1",
      "hive.metastore.warehouse.dir" -> "/elsewhere",
      "mapreduce.input.fileinputformat.split.minsize" -> "0"
    ).foreach { case (name, value) => assert(withHadoop(name, value)(durable(read())) == before, name) }
  }

  test("plans that read no files do not count them") {
    val data = spark.range(3).toDF()
    val before = durable(data)
    assert(withHadoop("someone.elses.setting", "1")(durable(data)) == before)
  }

  test("a session as Spark makes it counts none, and the explanation shows those that do with secrets hidden") {
    assert(keyOf(read()).explanation.get("hadoop") == null)
    withHadoop("someone.elses.password", "hunter2") {
      withHadoop("orc.force.positional.evolution", "true") {
        val shown = keyOf(read()).explanation.get("hadoop")
        assert(shown.get("orc.force.positional.evolution").asText == "true")
        assert(shown.get("someone.elses.password").asText == Redaction.Hidden)
      }
    }
  }
}
