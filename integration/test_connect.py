"""`dlcache.cache` over Spark Connect, in a process of its own: one process has one kind of session.

And the one digest that a query has in Scala, Python, SQL and Connect.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import functions as F  # noqa: N812

import dlcache
from dlcache._spark_jar import connector_jar

# The package of this checkout, installed or not.
PACKAGE = Path(__file__).parent.parent / "python"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}


def run(command: list[str], typed: str = "", **environment: str) -> str:
    done = subprocess.run(
        command,
        env=ENVIRONMENT | environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def base(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source of the query, and a root with the dataset that Scala wrote."""
    base = tmp_path_factory.mktemp("languages")
    rows = spark.range(20).selectExpr("id", "id % 3 AS k", "concat('s', id) AS s", "array(id, id + 0.5D) AS v")
    rows.coalesce(1).write.parquet(str(base / "source"))
    home = Path(pyspark.__file__).parent
    shell: list[str] = [str(home / "bin" / "spark-shell"), "--master", "local[1]", "--jars", str(connector_jar())]
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
    }.items():
        shell += ["--conf", f"{name}={value}"]
    script = Path(__file__).with_name("_query.scala").read_text()
    said = run(shell, script, DLCACHE_TEST=str(base), SPARK_HOME=str(home))
    assert (base / "root").exists(), said[-4000:]
    return base


@pytest.fixture(scope="module")
def connect(base: Path) -> Any:
    """What the client of Spark Connect said."""
    script = Path(__file__).with_name("_connect_script.py")
    return json.loads(run([sys.executable, str(script), str(base)], TZ="UTC").splitlines()[-1])


def test_a_connect_client_misses_hits_and_gets_conditions(connect: Any) -> None:
    first, second = connect["first"], connect["second"]
    assert connect["session"].startswith("pyspark.sql.connect")
    assert (first["hit"], second["hit"]) == (False, True)
    assert first["digest"] == second["digest"]
    assert (first["rows"], first["shards"]) == (100, 4)
    assert connect["condition"] == "DLCACHE_KEY_MISMATCH"
    assert connect["ids"] == list(range(100))


def test_scala_python_sql_and_connect_give_one_digest(spark: Any, jobs: Any, base: Path, connect: Any) -> None:
    """All but the first, Scala's, are hits: one root, one dataset, one version, one digest."""
    root = base / "root"
    (written,) = root.iterdir()
    source = spark.read.parquet(str(base / "source"))
    filtered = source.filter((F.col("k") == 1) & (F.col("id") > 2))
    in_python = filtered.select((F.col("id") + 1).alias("a"), F.upper("s").alias("b"), "v")
    text = f"SELECT id + 1 AS a, upper(s) AS b, v FROM parquet.`{base}/source` WHERE id > 2 AND k = 1"
    statement = f"CREATE TABLE one_digest USING dlcache OPTIONS (dtype 'float32') LOCATION '{base}/table' AS {text}"

    hit, ran = jobs.of(lambda: dlcache.cache(in_python, root=root))
    assert (hit.result.hit, ran) == (True, 0)
    assert dlcache.cache(spark.sql(text), root=root).result.hit
    spark.sql(statement)
    spark.sql("DROP TABLE one_digest")
    assert connect["shared"]["hit"]
    digests = {hit.result.digest, connect["shared"]["digest"], dlcache.load(base / "table").key}
    assert digests == {written.name}
    assert list(root.iterdir()) == [written]
    assert [path.name for path in sorted((written / "_dlcache").glob("*.json"))] == [f"{1:020d}.json"]
    assert [int(a) for batch in hit.numpy(batch_size=100) for a in batch["a"]] == [5, 8, 11, 14, 17, 20]
    texts = [str(b) for batch in hit.numpy(batch_size=100) for b in batch["b"]]
    assert texts == ["S4", "S7", "S10", "S13", "S16", "S19"]
