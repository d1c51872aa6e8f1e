"""The Python functions of a DataFrame's plan: what they are made of, for the plan key.

Spark pickles a function of a module by its name. So the connector sees no change of the module, and cannot know of one:
this side reads the pickles, follows the modules and gives the connector digests of what it finds.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._module_sources import ModuleSources, installed_since, python_version
from ._pickled import Pickled, UntraceableError, is_named
from ._pyspark_identity import is_identity

_FUNCTIONS = "io.dlcache.spark.PythonFunctions"
_IMPORTERS = (("subimport", ("pyspark.cloudpickle", "cloudpickle")), ("import_module", ("importlib",)))
_LISTED = 100
_BROADCAST_BYTES = 256 << 20


def function_sources(df: Any, udf: str | None) -> str | None:
    """What the option `functions` is to say of the plan of `df`. None where there is nothing to say: the plan has no
    Python function, or Spark's driver is not here (Spark Connect).

    Args:
        df: a DataFrame.
        udf: the option of this name; "source" asks for digests that other processes find too.
    """
    text = call_driver(df.sparkSession, _FUNCTIONS, "json", getattr(df, "_jdf", None))
    if not text:
        return None
    functions: Sequence[Mapping[str, Any]] = json.loads(text)
    if not functions:
        return None
    importlib.invalidate_caches()
    udf = str(udf or df.sparkSession.conf.get("spark.datasource.dlcache.udf", None)).strip().lower()
    context = df.sparkSession.sparkContext
    found = {}
    for function in functions:
        command = base64.b64decode(function["command"])
        broadcast = _broadcasts(context, function["broadcasts"])
        found[hashlib.sha256(command).hexdigest()] = _source(command, broadcast, context, udf == "source")
    return json.dumps(found)


def call_driver(spark: Any, name: str, method: str, *args: Any) -> str | None:
    """What a static method of the connector in Spark's driver returns. None where its classes cannot be called."""
    jvm = getattr(spark, "_jvm", None)
    if jvm is None:
        return None
    from py4j.java_gateway import JavaClass
    from py4j.protocol import Py4JError

    try:
        # Not by `jvm.io.dlcache...`, which asks the JVM whether each part of the name is a class.
        answer = getattr(JavaClass(name, jvm._gateway_client), method)(*args)
    except Py4JError:
        return None
    return None if answer is None else str(answer)


def _source(command: bytes, broadcast: Callable[[int], bytes], context: Any, durable: bool) -> dict[str, Any]:
    sources = ModuleSources()
    try:
        pickled = Pickled(command, broadcast)
        _follow(pickled, sources)
        changed = _changed(sources, context)
    except UntraceableError as error:
        return {"untraceable": f"it rests on {error}"}
    except (OSError, ImportError, ValueError, AttributeError) as error:
        return {"untraceable": f"the modules that it rests on cannot be read ({error})"}
    found: dict[str, Any] = {
        "identity": is_identity(command, pickled),
        "digest": sources.digest(),
        "files": sorted(sources.files),
        "changed": changed,
    }
    if durable:
        try:
            _require_same_python(context)
            code = pickled.digest().hex()
        except UntraceableError as error:
            found["session"] = f"it rests on {error}"
        else:
            found["source"] = code
            found["described"] = {
                "code": code,
                "python": python_version(),
                "modules": dict(sorted(sources.modules.items())[:_LISTED]),
                "packages": dict(sorted(sources.packages.items())[:_LISTED]),
            }
    return found


def _follow(pickled: Pickled, sources: ModuleSources) -> None:
    for each in pickled.all():
        for module, _ in sorted(each.names):
            sources.reach(module)
        for call in each.calls:
            if any(is_named(call.what, *importer) for importer in _IMPORTERS):
                sources.reach(call.args[0])
        for code, module_of in each.codes():
            sources.reach_code(code, module_of)


def _changed(sources: ModuleSources, context: Any) -> str | None:
    """What is younger than the Spark application. Its workers may have imported an earlier state, and keep it."""
    started = context.startTime / 1000
    for file in sources.files:
        if os.stat(file).st_mtime >= started:
            return f"{file} was changed after the Spark application started, and workers may have imported it before"
    if sources.packages and installed_since(started):
        return "packages were installed after the Spark application started, and workers may have imported others"
    return None


def _require_same_python(context: Any) -> None:
    """On a local master workers must run the environment that is looked at here. On a cluster the user promises it."""
    if not str(context.master).startswith("local"):
        return
    command = context.pythonExec
    found = shutil.which(command)
    if found is None or not os.path.samefile(os.path.dirname(found), os.path.dirname(sys.executable)):
        raise UntraceableError(
            f"{command} ({found}), which is not the driver's {sys.executable}: set PYSPARK_PYTHON to it"
        )


def _broadcasts(context: Any, paths: Mapping[str, str]) -> Callable[[int], bytes]:
    """Broadcast variables are files of Spark's driver."""

    def content(number: int) -> bytes:
        path = paths.get(str(number))
        if path is None or context._encryption_enabled:
            raise UntraceableError(f"the broadcast variable {number}, which cannot be read")
        if os.path.getsize(path) > _BROADCAST_BYTES:
            raise UntraceableError(f"a broadcast variable of more than {_BROADCAST_BYTES} bytes")
        return Path(path).read_bytes()

    return content
