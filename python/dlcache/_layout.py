"""Which names in the directory of a dataset are dlcache's own. Pure; the names are those of docs/format.md.

Everything that deletes asks here first: a file that this module does not know is foreign, and stays.
"""

from __future__ import annotations

import re
from typing import Literal

MANIFESTS = "_dlcache"
LEASES = "_dlcache/leases"
DATA = "data"
FOLDERS = (DATA, LEASES, MANIFESTS)
"""All folders of a dataset. Nothing else is looked into."""

Kind = Literal["manifest", "deletion", "lease", "temporary", "shard"]

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAMES: tuple[tuple[Kind, str], ...] = (
    ("manifest", r"_dlcache/[0-9]{20}\.json"),
    ("deletion", rf"_dlcache/deleted-{_UUID}\.json"),
    ("lease", rf"_dlcache/leases/{_UUID}\.json"),
    ("temporary", rf"_dlcache/(leases/)?\.{_UUID}\.tmp"),
    ("temporary", r"_dlcache/\.[0-9]{20}\.json\.claim"),
    ("shard", rf"data/dlcache-{_UUID}-[0-9A-Za-z_-]+\.parquet"),
)
_SHARD_PATH = re.compile(rf"data/([0-9A-Za-z_-]*-)?{_UUID}(-[0-9A-Za-z_-]*)?\.parquet", re.ASCII)
_JOB = re.compile(rf"data/dlcache-({_UUID})-.*", re.ASCII)
_KINDS = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _NAMES)
_SIDECAR = re.compile(r"(.*/)\.([^/]+)\.crc")
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def kind_of(path: str) -> Kind | None:
    """What the file at `path` (relative to its dataset) is by its name, or None if only dlcache's records can tell.

    Shards written before dlcache 2 have names that Spark and Iceberg give too, so only a manifest tells that they are
    dlcache's.
    """
    for kind, pattern in _KINDS:
        if pattern.fullmatch(path):
            return kind
    return None


def is_shard_path(path: str) -> bool:
    """True if a manifest may name a shard so: any name in `data/` with a UUID in it."""
    return _SHARD_PATH.fullmatch(path) is not None


def job_of(path: str) -> str | None:
    """The UUID of the write that made the shard at `path`, or None if its name does not have one."""
    found = _JOB.fullmatch(path)
    return None if found is None else found[1]


def version_of(path: str) -> int:
    """The version of the manifest at `path`."""
    return int(path.rpartition("/")[2][:20])


def guarded_by(path: str) -> str | None:
    """The file whose checksum `path` is (Hadoop writes `.x.crc` beside `x`), or None."""
    found = _SIDECAR.fullmatch(path)
    return None if found is None else found[1] + found[2]


def is_plan_keyed(name: str) -> bool:
    """True if a directory of this name was named by a plan key."""
    return _DIGEST.fullmatch(name) is not None
