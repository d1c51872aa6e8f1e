"""Python functions in the plan key: by what they rest on, and with `udf="source"` in any process."""

from __future__ import annotations

import enum
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pyspark = pytest.importorskip("pyspark")

from integration.test_plan_key import durable, explanation, in_session, key  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402, N812

import dlcache  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes modules that are older than the Spark application and can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (0, 0))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def data(spark: SparkSession) -> DataFrame:
    return spark.range(3)


@pytest.fixture(autouse=True)
def workers_run_this_python(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.sparkContext, "pythonExec", sys.executable)


def applied(data: DataFrame, function: Any) -> DataFrame:
    return data.select(F.udf(function, "long")("id").alias("a"))


def test_a_module_that_was_edited_misses(data: DataFrame, modules: Callable[[str, str], None]) -> None:
    modules("km_direct", "def f(x):\n    return x + 1\n")
    import km_direct  # type: ignore[import-not-found]

    def digest() -> str:
        return in_session(applied(data, km_direct.f), "python-udf")

    first = digest()
    assert digest() == first
    modules("km_direct", "def f(x):\n    return x + 100\n")
    assert digest() != first, "workers import the file, reloaded here or not"
    importlib.reload(km_direct)
    assert digest() != first
    modules("km_direct", "def f(x):\n    return x + 1\n")
    assert digest() == first


IMPORTS = {
    "plain": ("import km_far", "km_far.g(x)"),
    "from": ("from km_far import g", "g(x)"),
    "in a function": ("", "__import__('km_far').g(x)"),
    "by name": ("import importlib", "importlib.import_module('km_far').g(x)"),
}


@pytest.mark.parametrize("how", IMPORTS)
def test_a_module_two_imports_away_counts(data: DataFrame, modules: Callable[[str, str], None], how: str) -> None:
    statement, call = IMPORTS[how]
    modules("km_far", "def g(x):\n    return x + 1\n")
    modules("km_between", f"{statement}\n\ndef h(x):\n    return {call}\n")
    modules("km_near", "def f(x):\n    import km_between\n    return km_between.h(x)\n")
    import km_near  # type: ignore[import-not-found]

    first = in_session(applied(data, km_near.f), "python-udf")
    modules("km_other", "x = 1\n")
    assert in_session(applied(data, km_near.f), "python-udf") == first
    modules("km_far", "def g(x):\n    return x + 100\n")
    assert in_session(applied(data, km_near.f), "python-udf") != first


def test_functions_of_an_rdd_count(spark: SparkSession, modules: Callable[[str, str], None]) -> None:
    modules("km_rdd", "def f(row):\n    return (row[0] + 1,)\n")
    import km_rdd  # type: ignore[import-not-found]

    frame = spark.sparkContext.parallelize([(1,), (2,)]).map(km_rdd.f).toDF("i int")
    first = in_session(frame, "rdd", "python-udf")
    assert in_session(frame, "rdd", "python-udf") == first
    modules("km_rdd", "def f(row):\n    return (row[0] + 100,)\n")
    assert in_session(frame, "rdd", "python-udf") != first


def test_relative_imports_and_new_submodules_count(data: DataFrame, modules: Callable[[str, str], None]) -> None:
    modules("km_pack.__init__", "")
    modules("km_pack.far", "g = 1\n")
    modules(
        "km_pack.near",
        "try:\n    from . import late\nexcept ImportError:\n    from .far import g\n\n"
        "def f(x):\n    return x\n\n"
        "def make():\n    def h(x):\n        from .far import g\n        return x + g\n    return h\n",
    )
    from km_pack import near  # type: ignore[import-not-found]

    functions = [near.f, near.make()]
    first = [in_session(applied(data, function), "python-udf") for function in functions]
    modules("km_pack.far", "g = 100\n")
    second = [in_session(applied(data, function), "python-udf") for function in functions]
    modules("km_pack.late", "g = 1\n")
    third = in_session(applied(data, near.f), "python-udf")
    assert len({*first, *second, third}) == 5


def test_functions_that_import_in_their_body(data: DataFrame, modules: Callable[[str, str], None]) -> None:
    modules("km_body", "g = 1\n")

    def f(x: Any) -> Any:
        from km_body import g  # type: ignore[import-not-found]

        return x + g

    first = in_session(applied(data, f), "python-udf")
    modules("km_body", "g = 100\n")
    assert in_session(applied(data, f), "python-udf") != first


def test_captured_values_count(data: DataFrame) -> None:
    def digest(captured: Any) -> str:
        return in_session(applied(data, lambda x: x + captured), "python-udf")

    assert digest(1) == digest(1)
    assert len({digest(1), digest(2), digest(1.0), digest(np.arange(3)), digest(np.arange(4))}) == 5


@pytest.mark.parametrize("text", ["import importlib\nm = 'x'.lower()\nimportlib.import_module(m)\n"])
def test_what_cannot_be_followed_never_hits(data: DataFrame, modules: Callable[[str, str], None], text: str) -> None:
    modules("km_dark", f"def f(x):\n    return x\n\ndef load():\n    {text.replace(chr(10), chr(10) + '    ')}\n")
    import km_dark  # type: ignore[import-not-found]

    assert key(applied(data, km_dark.f))[1] != key(applied(data, km_dark.f))[1]
    (reason,) = explanation(applied(data, km_dark.f))["reasons"]
    assert reason["code"] == "python-udf"
    assert "km_dark" in reason["message"] and "never a hit" in reason["message"]


def test_a_large_function_is_followed_into_its_broadcast(data: DataFrame, modules: Callable[[str, str], None]) -> None:
    modules("km_large", "def g(x):\n    return x + 1\n")
    import km_large  # type: ignore[import-not-found]

    ballast = np.arange(1_000_000)
    frame = applied(data, lambda x: km_large.g(x) + int(ballast[0]))
    again = applied(data, lambda x: km_large.g(x) + int(ballast[0]))
    first = in_session(frame, "python-udf")
    assert in_session(frame, "python-udf") == first
    assert durable(frame, "source") != durable(applied(data, lambda x: km_large.g(x) + int(ballast[1])), "source")
    del again
    modules("km_large", "def g(x):\n    return x + 100\n")
    assert in_session(frame, "python-udf") != first


def test_persisted_rows_of_a_module_that_changed_since_never_hit(
    data: DataFrame, modules: Callable[[str, str], None], tmp_path: Path
) -> None:
    modules("km_kept", "def f(x):\n    return x + 1\n")
    import km_kept  # type: ignore[import-not-found]

    frame = applied(data, km_kept.f)
    frame.persist()
    try:
        in_session(frame, "python-udf")
        assert key(frame)[1] == key(frame)[1]
        os.utime(tmp_path / "km_kept.py", (time.time() + 60, time.time() + 60))
        assert key(frame)[1] != key(frame)[1]
    finally:
        frame.unpersist()


def test_without_dlcache_cache_a_python_function_never_hits(data: DataFrame, tmp_path: Path) -> None:
    frame = applied(data, lambda x: x + 1)
    frame.write.format("dlcache").save(str(tmp_path / "d"))
    with pytest.raises(Exception, match="DLCACHE_KEY_MISMATCH"):
        frame.write.format("dlcache").save(str(tmp_path / "d"))
    with pytest.raises(Exception, match=r"DLCACHE_UDF_SOURCE_UNKNOWN.*<lambda>"):
        frame.write.format("dlcache").option("udf", "source").save(str(tmp_path / "e"))
    cached = [dlcache.cache(frame, root=tmp_path / "root", progress=False) for _ in range(2)]
    assert [one.result.hit for one in cached] == [False, True]


def own_classes() -> tuple[Any, Any]:
    """Classes that are pickled by value, as those of a notebook are."""

    class Color(enum.Enum):
        RED = 1

    class Scale:
        def __init__(self, by: float) -> None:
            self.by = by

        def __call__(self, x: Any) -> Any:
            return int(x * self.by)

    return Color, Scale


def test_source_makes_plain_udfs_durable(data: DataFrame) -> None:
    def digest(function: Any) -> str:
        return durable(applied(data, function), "source")

    def adder(n: Any, *, m: int = 0) -> Any:
        return lambda x: x + n + m

    color, scale = own_classes()
    same_color, same_scale = own_classes()
    assert digest(adder(1)) == digest(adder(1)) == durable(applied(data, adder(1)), "Source")
    assert digest(adder(color.RED)) == digest(adder(same_color.RED))
    assert digest(adder({scale(1), color.RED})) == digest(adder({same_color.RED, same_scale(1)}))
    assert digest(lambda x: x + 1) == digest(lambda x: x + 1) != digest(lambda x: x + 2)
    captured = [1, 2, 1.0, True, "1", b"1", None, (1,), [1], {1}, {1: 2}, color.RED, scale(1), scale(2), np.float32(1)]
    captured += [np.arange(3), np.arange(3.0), np.arange(4), adder(1), adder(2), scale, len, json]
    digests = [digest(adder(value)) for value in captured]
    assert len(set(digests)) == len(captured)
    assert digest(adder(1, m=1)) != digest(adder(1))
    assert digest(scale(1)) != digest(scale(2))
    (function,) = explanation(applied(data, adder(np.arange(3))), "source")["functions"]
    assert function["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert function["packages"]["numpy"] == np.__version__
    assert set(function) == {"code", "python", "modules", "packages"}
    assert durable(data.select(F.udf(adder(1), "int")("id")), "source") != digest(adder(1))


def test_what_stays_in_the_session_says_why(data: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    in_session(applied(data, lambda x: x), "python-udf")
    assert key(applied(data, lambda x: x), "source")[0] == "durable"
    monkeypatch.setattr("dlcache._pickled._VALUES", 1000)
    many = list(range(1000))
    frame = applied(data, lambda x: many[x])
    assert key(frame, "source")[0] == "session"
    (reason,) = explanation(frame, "source")["reasons"]
    assert "captured values" in reason["message"]
    unsure = data.select(F.udf(lambda x: x, "long").asNondeterministic()("id"))
    assert key(unsure, "source")[2] == {"nondeterministic"}


def test_source_is_not_for_functions_over_batches(data: DataFrame) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    centred = F.pandas_udf(lambda column: column - column.mean(), "double")
    scope, _, reasons = key(data.select(centred("id")), "source")
    assert scope == "session" and "python-udf" in reasons
    scope, _, reasons = key(data.mapInPandas(lambda frames: frames, data.schema), "source")
    assert scope == "session" and "python-udf" in reasons


def test_what_changed_after_the_application_started_is_not_durable(
    data: DataFrame, modules: Callable[[str, str], None], tmp_path: Path
) -> None:
    modules("km_young", "def f(x):\n    return x + 1\n")
    import km_young  # type: ignore[import-not-found]

    durable(applied(data, km_young.f), "source")
    os.utime(tmp_path / "km_young.py")
    assert key(applied(data, km_young.f), "source")[0] == "session"
    (reason,) = explanation(applied(data, km_young.f), "source")["reasons"]
    assert "km_young.py was changed after the Spark application started" in reason["message"]


SCRIPT = """
import importlib, os, sys
import near
from pyspark.sql import SparkSession, functions as F
import dlcache
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
spark = dlcache.configure(builder.config("spark.python.worker.reuse", "false")).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
words = {"a", "b", "c", "d"}
def cache(label):
    def plus(x):
        return near.f(x) + (len(words) if "b" in {"a", "b", "c"} else 0)
    data = spark.range(3).select(F.udf(plus, "long")("id").alias("a"))
    made = dlcache.cache(data, root=sys.argv[1], udf=sys.argv[2], progress=False)
    rows = [int(x) for batch in made.numpy(batch_size=10) for x in batch["a"]]
    print(label, made.result.hit, made.result.scope, made.result.digest, rows, sep="|")
cache("first")
cache("second")
if len(sys.argv) > 3:
    open("far.py", "w").write("def g(x):\\n    return x + 100\\n")
    importlib.reload(sys.modules["far"])
    cache("third")
"""


def run_script(folder: Path, *arguments: str, hash_seed: str = "0") -> dict[str, list[str]]:
    folder.mkdir(exist_ok=True)
    (folder / "far.py").write_text("def g(x):\n    return x + 1\n")
    (folder / "near.py").write_text("import far\n\ndef f(x):\n    return far.g(x)\n")
    for name in ("far.py", "near.py"):
        os.utime(folder / name, (0, 0))
    (folder / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}
    environment |= {"PYTHONHASHSEED": hash_seed, "PYSPARK_PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "script.py", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line.split("|") for line in done.stdout.splitlines() if "|" in line]
    return {line[0]: line[1:] for line in lines}


def test_the_rows_are_those_of_the_module_as_it_is(tmp_path: Path) -> None:
    found = run_script(tmp_path / "a", str(tmp_path / "root"), "session", "edit")
    assert found["first"][:2] == ["False", "session"]
    assert found["second"] == ["True", *found["first"][1:]]
    assert found["third"][0] == "False"
    assert found["first"][3] == "[5, 6, 7]"
    assert found["third"][3] == "[104, 105, 106]"


def test_two_processes_share_rows_by_source(tmp_path: Path) -> None:
    one = run_script(tmp_path / "a", str(tmp_path / "root"), "source", hash_seed="1")
    other = run_script(tmp_path / "b", str(tmp_path / "root"), "source", hash_seed="7")
    assert one["first"][:2] == ["False", "durable"]
    assert other["first"] == ["True", *one["first"][1:]]
