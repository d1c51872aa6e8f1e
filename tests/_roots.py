"""Directories as dlcache leaves them, in any state, for tests of the house: manifests without columns, and shards that
are only names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from dlcache._leases import Lease, LeaseKind, utc, write_lease
from dlcache._processes import process_start, this_host

DIGEST = "ab" * 32
OLD, YOUNG = 200_000.0, 10.0
"""Seconds: older than the defaults of grace and retention, and younger."""


def ago(seconds: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=seconds)


def shard_name(job: str | None = None) -> str:
    return f"data/dlcache-{job or uuid.uuid4()}-00000-0-{uuid.uuid4().hex[:16]}.parquet"


def spark_name() -> str:
    """A name that Spark gives, and that dlcache 0.1 gave to shards."""
    return f"data/part-00000-{uuid.uuid4()}-c000.parquet"


def put(path: Path, data: bytes = b"x", age: float = 0.0) -> Path:
    """A file that was last changed `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    changed = time.time() - age
    os.utime(path, (changed, changed))
    return path


def publish(dataset: Path, version: int, shards: Sequence[str], age: float = 0.0, **top: Any) -> Path:
    """A manifest that names `shards` and was made `age` seconds ago; shards that are not there are made."""
    for shard in shards:
        if not (dataset / shard).exists():
            put(dataset / shard, b"PAR1....PAR1", age)
    manifest = {
        "format-version": 1,
        "dataset-id": str(uuid.uuid4()),
        "version": version,
        "created-at": utc(ago(age)),
        "created-by": "tests",
        "plan-key": {"scope": "durable", "digest": DIGEST},
        "schema": {"type": "struct", "fields": []},
        "columns": [],
        "rows": len(shards),
        "bytes": 12 * len(shards),
        "shards": [
            {"path": s, "version": 1, "rows": 1, "bytes": 12, "crc32": 0, "row-group-rows": 1, "chunks": []}
            for s in shards
        ],
        "options": {},
        **top,
    }
    return put(dataset / "_dlcache" / f"{version:020d}.json", json.dumps(manifest).encode(), age)


def lease(dataset: Path, kind: LeaseKind, *, live: bool, here: bool = True, age: float = 0.0, **more: Any) -> Path:
    """A lease of this process or, if not `live`, of one of this host that is gone; `here=False`: of another host, where
    only the time tells."""
    if here:
        pid, start, span = (os.getpid(), process_start(os.getpid()), 3600) if live else (gone_pid(), "1", 3600)
        host = this_host()
    else:
        pid, start, span, host = 1, "1", 3600 if live else -60, "elsewhere"
    text = write_lease(Lease(kind, host, pid, start, ago(-span), **more))
    return put(dataset / "_dlcache" / "leases" / f"{uuid.uuid4()}.json", text, age)


@cache
def gone_pid() -> int:
    """The pid of a process that has ended."""
    return int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)


def tree(root: Path) -> dict[str, bytes | None]:
    """All that is below a directory: files with their bytes, directories with None."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }
