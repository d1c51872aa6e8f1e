package io.dlcache.key

import scala.jdk.CollectionConverters._

import org.apache.hadoop.conf.Configuration
import org.apache.spark.sql.SparkSession

/** The settings of Hadoop that a key counts where files are read: all that differ from Hadoop's own defaults, whether a
  * site file, the application or the session has set them, less those known to be harmless.
  */
private[key] object HadoopSettings {

  /** How to reach a store, who asks, and how large the buffers are: the files that are there count by themselves. */
  private val stores = Seq(
    "adl.",
    "dfs.",
    "file.",
    "fs.",
    "ftp.",
    "ha.",
    "hadoop.",
    "io.bytes.",
    "io.file.",
    "io.native.",
    "ipc.",
    "net.",
    "nfs.",
    "rpc.",
    "yarn."
  )

  /** Where Hive's metastore is, and where it stores tables. */
  private val metastore = Seq("datanucleus.", "hive.metastore.", "javax.jdo.")

  /** How jobs of MapReduce run and write. Spark runs none, and sets some of these itself. */
  private val jobs = Seq(
    "mapreduce.am.",
    "mapreduce.app-submission.",
    "mapreduce.application.",
    "mapreduce.client.",
    "mapreduce.cluster.",
    "mapreduce.fileoutputcommitter.",
    "mapreduce.framework.",
    "mapreduce.job.",
    "mapreduce.jobhistory.",
    "mapreduce.jobtracker.",
    "mapreduce.map.",
    "mapreduce.output.",
    "mapreduce.outputcommitter.",
    "mapreduce.reduce.",
    "mapreduce.shuffle.",
    "mapreduce.task.",
    "mapreduce.tasktracker."
  )

  /** Spark's configurations are in Hadoop's too: [[SemanticConfs]] says which of them count. */
  private val sparks = Seq("spark.")

  private val harmless = stores ++ metastore ++ jobs ++ sparks

  private val DefaultResources = Seq("core-default.xml", "hdfs-default.xml", "mapred-default.xml", "yarn-default.xml")

  private lazy val defaults: Map[String, String] = {
    val conf = new Configuration(false)
    DefaultResources.filter(conf.getResource(_) != null).foreach(conf.addResource)
    entriesOf(conf)
  }

  def of(session: SparkSession): Map[String, String] = {
    val set = entriesOf(session.sparkContext.hadoopConfiguration) ++ session.conf.getAll.filter(_._2 != null)
    set.filter { case (name, value) => !harmless.exists(name.startsWith) && !defaults.get(name).contains(value) }
  }

  private def entriesOf(conf: Configuration): Map[String, String] =
    conf.iterator().asScala.map(entry => entry.getKey -> entry.getValue).toMap
}
