"""The ways in from Spark: `configure` a session, `cache` a DataFrame. This module alone imports pyspark."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, TypeVar

try:
    import pyspark
    from pyspark.sql import SparkSession
except ImportError as missing:
    raise ImportError("dlcache.cache and dlcache.configure need pyspark: pip install 'dlcache[spark]'") from missing

from ._dataset import Dataset, load
from ._errors import OptionError, WriteError
from ._python_functions import call_driver, function_sources
from ._result import CacheResult
from ._spark_errors import NO_CONNECTOR, connector_error, convert_connector_errors
from ._spark_frame import check_frame
from ._spark_jar import (
    connector_jar,
    default_conf,
    is_connector,
    merged_jars,
    split_jars,
    submitted_conf,
    submitted_jars,
)
from ._spark_paths import default_store, path_for_spark
from ._spark_progress import interactive, write_progress

logger = logging.getLogger("dlcache")

_CATALOG = "spark.sql.catalog.spark_catalog"
_OUTCOMES = "io.dlcache.write.WriteOutcomes"

Builder = TypeVar("Builder", bound=Any)


def configure(builder: Builder) -> Builder:
    """Adds the connector to the session that `builder` will make, and returns `builder`.

    The jar of this package (or of the environment variable `DLCACHE_JAR`) is appended to `spark.jars`, whether that is
    set in the builder or in `spark-defaults.conf`; a connector jar that is named there already stays. A Spark Connect
    server has its own class path: for `sc://` addresses nothing is changed, and a warning says which jar the server
    needs.

    `spark.sql.catalog.spark_catalog` becomes dlcache's catalog, which SQL tables need (docs/tables.md), unless the
    builder, `spark-defaults.conf` or `spark-submit` sets it. The connector's errors arrive as `SparkError` from then
    on, with the message first, in place of Java's.

    Raises ConnectorError if the jar is absent.
    """
    options: Mapping[str, Any] = getattr(builder, "_options", {})
    jar = connector_jar()
    if _connects_to_server(options):
        logger.warning("Spark Connect: the server needs dlcache's jar; start it with --jars %s", jar)
        return builder
    convert_connector_errors()
    hidden = False
    submitted = submitted_jars()
    if submitted is not None and not any(map(is_connector, split_jars(submitted))):
        hidden = True
        logger.warning("--jars in PYSPARK_SUBMIT_ARGS hides the builder's spark.jars: add %s to it", jar)
    running = _running_context()
    if running is not None and not any(map(is_connector, split_jars(running.getConf().get("spark.jars", "")))):
        hidden = True
        logger.warning("A Spark application runs already, and its jars are fixed: stop it, or start it with %s", jar)
    present = options.get("spark.jars") or default_conf("spark.jars", _spark_home())
    builder.config("spark.jars", merged_jars(present, jar))
    if not hidden and not _has_catalog(options):
        builder.config(_CATALOG, "io.dlcache.catalog.DlcacheCatalog")
    return builder


def _has_catalog(options: Mapping[str, Any]) -> bool:
    """Whether a session catalog is chosen already. Under spark-submit, the JVM that runs has its options."""
    found = options.get(_CATALOG) or submitted_conf(_CATALOG) or default_conf(_CATALOG, _spark_home())
    if not found and "PYSPARK_GATEWAY_PORT" in os.environ:
        found = pyspark.SparkConf().get(_CATALOG)
    return bool(found)


def _connects_to_server(options: Mapping[str, Any]) -> bool:
    address = str(options.get("spark.remote") or os.environ.get("SPARK_REMOTE", ""))
    return address.startswith("sc://")


def _running_context() -> Any:
    context = getattr(pyspark, "SparkContext", None)  # absent in pyspark-client
    return context._active_spark_context if context is not None else None


def _spark_home() -> str | None:
    return os.environ.get("SPARK_HOME") or os.path.dirname(pyspark.__file__)


def cache(
    df: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    key: str | None = None,
    dtype: str | None = "float32",
    root: str | os.PathLike[str] | None = None,
    ttl: int | str | timedelta | None = None,
    shards: int | None = None,
    shuffle: int | None = None,
    pack: Mapping[str, Sequence[str]] | None = None,
    udf: str | None = None,
    mode: str = "errorifexists",
    if_appended: str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
    **options: Any,
) -> Dataset:
    """Writes the rows of a Spark DataFrame as a dataset, unless they are there already, and opens it.

    A hit runs no Spark job. Works with classic Spark and Spark Connect.

    path      where the dataset is; a local one is made absolute, with `~` as your home directory. Default: a place
              under `root` that the plan key names.
    key       your own identity for the rows, in place of the plan key that dlcache computes.
    dtype     what floating-point columns are stored as: "float32" (default), "float64", or None for as they are.
              A number that float32 would make infinite is an error. Values that it rounds are counted in one line of
              Spark's log (INFO), whole numbers among them in one warning.
    root      the directory of plan-keyed datasets. Default: the conf spark.datasource.dlcache.root, then $DLCACHE_ROOT,
              then on a local master the user's cache directory.
    ttl       seconds, a timedelta, or a text such as "7d": how long the dataset is a hit and `dlcache gc` keeps it.
              Afterwards the next call builds it again. Default: no end.
    shards    the number of shards, of equal size; the order of the rows is not kept, not even after `orderBy`. Default:
              the DataFrame's partitions and order stay.
    shuffle   a seed: rows are spread over the shards at random.
    pack      {"features": ["age", "height"]}: columns of numbers, all of one type and without nulls, to store as one
              tensor column [2], so that a row of them is one place to read. Spark reads them as the columns they were.
    udf       "session" (default): a query with Python UDFs is a hit within its Spark application. "source": also in
              others, as long as the UDFs' source, the values that they capture, the version of Python and those of the
              packages that they import are the same. It is your promise that the UDFs depend on nothing else, and that
              the workers have the driver's modules and packages.
    mode      "errorifexists" (default): build or hit, an error if `path` has another key. "ignore": leave what is at
              `path`. "overwrite": build again. "append": add shards to `path`.
    if_appended
              what "append" does if `path` has the rows of this plan key already, as when a nightly job runs again:
              "error" (default), "skip" (leave the dataset as it is: a hit) or "append" (add them once more).
    progress  None (default): a bar of the write's tasks and one line in a terminal or notebook, else a line to the
              logger "dlcache". True: the bar and the line always. False: nothing.
    storage_options, cache_dir, cache_bytes
              as in `dlcache.load`: how Python reads what Spark has written. Spark has its own `spark.hadoop.` settings.
    options   other options of the connector, by their Spark names (`targetShardBytes=...`).

    Raises WriteError with the connector's condition; errors of the query itself are Spark's own.
    """
    check_frame(df, "DataFrame")
    request = str(uuid.uuid4())
    spark = df.sparkSession
    store = default_store(spark)
    target = path_for_spark(path, store)
    given = {
        "key": key,
        "dtype": "source" if dtype is None else dtype,
        "root": path_for_spark(root, store),
        "ttl": _span(ttl),
        "shards": shards,
        "shuffle": shuffle,
        "pack": _packs(pack),
        "udf": udf,
        "ifAppended": if_appended,
    }
    own = {"request", "path", "functions"} & {name.lower() for name in options}
    if own:
        raise OptionError(
            f"{', '.join(sorted(own))}: dlcache.cache sets this itself; give a path as the argument `path`"
        )
    given["functions"] = None if key is not None else function_sources(df, udf)
    merged = {name: _text(value) for name, value in (given | options).items() if value is not None}
    show = interactive() if progress is None else progress
    writer = df.write.format("dlcache").options(**merged, request=request)
    writer = writer.mode("error" if mode == "errorifexists" else mode)  # Spark Connect knows the short name only
    try:
        with write_progress(spark, f"dlcache-{request}", show=show):
            writer.save(target)
        result = _result(spark, request)
    except Exception as error:
        raise_connector_error(error)
        raise
    if show:
        print(result, file=sys.stderr)
    elif progress is None:
        logger.info("%s", result)
    dataset = load(
        re.sub("^file:/+", "/", result.path),
        version=result.version,
        storage_options=storage_options,
        cache_dir=cache_dir,
        cache_bytes=cache_bytes,
    )
    dataset._result = result
    return dataset


def _result(spark: SparkSession, request: str) -> CacheResult:
    row = _driver_outcome(spark, request)
    if row is None:
        row = spark.read.format("dlcache").option("request", request).load().collect()[0].asDict()
    return CacheResult(**{name: row[name] for name in (field.name for field in fields(CacheResult))})


def _driver_outcome(spark: Any, request: str) -> dict[str, Any] | None:
    """The outcome from the driver's memory, without a query. None where the driver's classes cannot be called."""
    text = call_driver(spark, _OUTCOMES, "json", request)
    return None if text is None else dict(json.loads(text))


def raise_connector_error(error: Exception) -> None:
    """Raises WriteError if the connector is at the root of `error`; its Java stack stays in `__context__`."""
    found = connector_error(error)
    if found is None:
        return
    condition, message = found
    if condition == NO_CONNECTOR:
        message += (
            " Make it with dlcache.configure(SparkSession.builder).getOrCreate(), before any other session starts;"
        )
        message += f" or start Spark (for Spark Connect: the server) with --jars {connector_jar()}."
    raise WriteError(message, condition) from None


def _packs(pack: Mapping[str, Sequence[str]] | None) -> str | None:
    if pack is None:
        return None
    if not isinstance(pack, Mapping) or any(isinstance(columns, str) for columns in pack.values()):
        raise OptionError(f"pack must be a dict from a name to a list of columns, not {pack!r}")
    return json.dumps({name: list(columns) for name, columns in pack.items()})


def _span(ttl: int | str | timedelta | None) -> str | None:
    if isinstance(ttl, timedelta):
        ttl = int(ttl.total_seconds())
    return f"{ttl}s" if isinstance(ttl, int) else ttl


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
