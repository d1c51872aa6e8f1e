"""Secrets reach no file, log or error; files have the user's umask; names may have any character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcache

SECRET = "zx81-Open-Sesame-4711"


class Told:
    """What the careful user's application has left and said."""

    def __init__(self, root: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.root, self.log = root, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        self.errors: list[str] = answer["errors"]
        self.leases: int = answer["leases"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    root = tmp_path_factory.mktemp("private")
    script = Path(__file__).with_name("_private_script.py")
    done = subprocess.run(
        [sys.executable, str(script), str(root), SECRET],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DLCACHE_MIRROR_BYTES": "0"},
    )
    assert done.returncode == 0, done.stderr[-6000:]
    yield Told(root, done)


def test_secrets_reach_no_file(told: Told) -> None:
    files = [path for path in told.root.rglob("*") if path.is_file() and told.root / "source" not in path.parents]
    assert any(path.match("_dlcache/*.json") for path in files)
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


def test_secrets_reach_no_error(told: Told) -> None:
    for error in told.errors:
        assert SECRET not in error
    assert all("Error" in error for error in told.errors[:-1])


def test_secrets_reach_no_line_of_ours_in_the_log(told: Told) -> None:
    """Spark's own lines are Spark's: it redacts by its own rules."""
    lines = [line for line in told.log.splitlines() if any(name in line for name in ("dlcache", "WriteCommand"))]
    assert any("miss, written" in line for line in lines)
    assert [line for line in lines if SECRET in line] == []


def test_files_and_folders_have_the_umask_of_the_user(told: Told) -> None:
    """The application ran with the umask 077. Its own source is Spark's, which has an umask of its own."""
    below = [told.root / "root", told.root / "by-path"]
    paths = [*below, *(path for place in below for path in place.rglob("*"))]
    assert len(paths) > 8
    assert told.leases == 1
    assert [f"{path} {path.stat().st_mode:o}" for path in paths if path.stat().st_mode & 0o077] == []


ODD = [
    "with space",
    "ünïcödé 列 😀",
    "it's",
    'double"quote',
    "per%41cent%",
    "back\\slash",
    "tick`tick",
    "a/b",
    "dot.ted",
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_columns_paths_and_keys_may_have_any_name(spark: Any, tmp_path: Path) -> None:
    data = spark.range(6).selectExpr("id").toDF("id")
    for name in ODD:
        data = data.withColumn(name, data.id * 2)
    path = tmp_path / "a b" / "ünï 列 😀 %41 %2F 'q' \"d\" #1 + & ; = [x] {y}"
    key = 'k\'ey "%41" ü;=&\n列'
    written = dlcache.cache(data, path, key=key, progress=False)
    assert dlcache.cache(data, path, key=key, progress=False).result.hit
    assert written.columns == ("id", *ODD)
    dlcache.cache(data, path, mode="append", progress=False)
    loaded = dlcache.load(path)
    for name in ODD:
        rows = np.concatenate([batch[name] for batch in loaded.numpy(5, columns=[name])])
        assert sorted(rows.tolist()) == sorted([0, 2, 4, 6, 8, 10] * 2)
    back = spark.read.format("dlcache").load(str(path))
    assert back.columns == ["id", *ODD]
    assert {tuple(row) for row in back.collect()} == {(n, *[2 * n] * len(ODD)) for n in range(6)}
    assert dlcache.verify(path, pages=True)
    assert dlcache.load(f"file://{path}").columns == loaded.columns
    dlcache.gc(path, grace=0, retention=0)
    assert len(dlcache.load(path)) == 12
    loaded.delete()
    assert not path.exists()


def test_the_root_may_have_any_name(spark: Any, tmp_path: Path) -> None:
    root = tmp_path / "r %41 ü 'q'"
    first = dlcache.cache(spark.range(3), root=root, progress=False)
    assert dlcache.cache(spark.range(3), root=root, progress=False).result.hit
    assert Path(first.path).parent == root
