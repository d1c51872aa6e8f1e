"""The plan key of a DataFrame, as `dlcache.cache` has it computed."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from dlcache import _python_functions


def plan_key(data: DataFrame, udf: str = "session") -> Any:
    """The connector's `PlanKey`, with what the Python functions of the plan rest on."""
    jvm: Any = data.sparkSession._jvm
    sources = jvm.io.dlcache.key.PythonSources.parse(_python_functions.function_sources(data, udf) or "{}").get()
    python = jvm.io.dlcache.key.PythonSources(sources, udf.lower() == "source")
    return jvm.io.dlcache.key.PlanKey.of(data._jdf, jvm.scala.Predef.Map().empty(), jvm.scala.Option.empty(), python)
