"""The connector in a session that runs already, and was made without `dlcache.configure`."""

from __future__ import annotations

from typing import Any

from ._spark_jar import connector_jar

_LOADERS = ("org.apache.spark.util.MutableURLClassLoader", "org.apache.spark.util.ChildFirstURLClassLoader")


def attach(spark: Any) -> bool:
    """Adds the connector's jar to a running Spark application: to the class loader of its driver, and to the files that
    executors fetch. False where it cannot: Spark Connect's servers, and drivers with class loaders of their own.

    `ADD JAR` would not do: in local mode its classes are not those that the tasks have. Raises ConnectorError if the
    jar is absent.
    """
    jvm = getattr(spark, "_jvm", None)
    if jvm is None:
        return False
    jar = str(connector_jar())
    loader, found = jvm.java.lang.Thread.currentThread().getContextClassLoader(), None
    while loader is not None:
        if loader.getClass().getName() in _LOADERS:
            found = loader
        loader = loader.getParent()
    if found is None:
        return False
    found.addURL(jvm.java.io.File(jar).toURI().toURL())
    spark.sparkContext._jsc.addJar(jar)
    return True
