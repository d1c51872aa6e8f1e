"""Both languages together, on real Spark. The jar is the package's, or the one that DLCACHE_JAR names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from integration import _servers
from pyspark.sql import SparkSession

import dlcache


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore:PySpark does not yet fully support pandas:FutureWarning")


@pytest.fixture(scope="session", autouse=True)
def manifests_are_valid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every manifest that these tests have written follows docs/manifest.schema.json."""
    yield
    schema = Path(__file__).parent.parent / "docs" / "manifest.schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    for path in tmp_path_factory.getbasetemp().glob("**/_dlcache/[0-9]*.json"):
        validator.validate(json.loads(path.read_text()))


@pytest.fixture(scope="session", autouse=True)
def own_mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remote shards are mirrored into a folder of the tests' own, never into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCACHE_MIRROR_DIR", str(tmp_path_factory.mktemp("mirror")))
        yield


@pytest.fixture(scope="session")
def store_jars() -> list[Path]:
    """What Spark needs to reach the stores that the tests start, besides its own jars."""
    return _servers.jars("s3a", _servers.hadoop_version())


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory, store_jars: list[Path]) -> Iterator[Any]:
    """One classic session on two threads, with its own warehouse and its own default root."""
    base = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(base / "warehouse"),
        "spark.datasource.dlcache.root": str(base / "root"),
        "spark.jars": ",".join(map(str, store_jars)),
    }
    builder = SparkSession.builder.master("local[2]").appName("dlcache integration").config(map=settings)
    session = dlcache.configure(builder).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


class Jobs:
    """Counts the Spark jobs that a block starts, by a job group of its own."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._blocks = 0

    def of(self, action: Any) -> tuple[Any, int]:
        """What `action()` returns, and how many jobs it ran."""
        self._blocks += 1
        group = f"jobs-{id(self)}-{self._blocks}"
        self._context.setJobGroup(group, "counted by a test")
        try:
            result = action()
        finally:
            self._context.setLocalProperty("spark.jobGroup.id", None)
            self._context.setLocalProperty("spark.job.description", None)
        self._context._jsc.sc().listenerBus().waitUntilEmpty()
        return result, len(self._context.statusTracker().getJobIdsForGroup(group))


@pytest.fixture
def jobs(spark: Any) -> Jobs:
    return Jobs(spark.sparkContext)


@pytest.fixture
def source(spark: Any, tmp_path: Path) -> Any:
    """Ten rows in a Parquet file: id, an array of three floats, a label."""
    path = str(tmp_path / "source")
    rows = spark.range(10).selectExpr("id", "array(id, id + 0.5D, -id) AS features", "CAST(id % 3 AS INT) AS label")
    rows.coalesce(1).write.parquet(path)
    return spark.read.parquet(path)
