package io.dlcache.error;

import org.apache.spark.SparkThrowable;

/**
 * What {@link DlcacheException} extends rather than SparkThrowable itself. scalac writes a forwarder for each default
 * method of an interface, and later versions of SparkThrowable have one whose result type Spark 4.0 does not know:
 * there the class would not load. javac writes none.
 */
abstract class SparkError extends RuntimeException implements SparkThrowable {
  SparkError(String message, Throwable cause) {
    super(message, cause);
  }
}
