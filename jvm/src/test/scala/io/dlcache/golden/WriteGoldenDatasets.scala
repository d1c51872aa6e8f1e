package io.dlcache.golden

import java.nio.file.{Files, Path, Paths}
import java.util.Comparator

import org.apache.spark.sql.SparkSession

/** Writes the golden datasets anew into the directory that is its argument. */
object WriteGoldenDatasets {

  def main(arguments: Array[String]): Unit = {
    require(arguments.length == 1, "takes the directory to write to")
    val directory = Paths.get(arguments.head)
    val spark = SparkSession.builder().getOrCreate()
    try
      GoldenDatasets.all.foreach { dataset =>
        val path = directory.resolve(dataset.name)
        if (Files.exists(path))
          Files.walk(path).sorted(Comparator.reverseOrder[Path]()).forEach(file => Files.delete(file))
        dataset.write(spark, directory)
      }
    finally spark.stop()
  }
}
