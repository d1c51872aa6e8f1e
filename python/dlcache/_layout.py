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
"""All folders of a dataset. Nothing else is looked into. They are listed in this order: a writer takes its lease before
it writes a shard and gives it up after it has published, so each shard found is named, or its writer is seen, or it is
nobody's."""

Kind = Literal["manifest", "deletion", "lease", "temporary", "shard"]

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAMES: tuple[tuple[Kind, str], ...] = (
    ("manifest", r"_dlcache/[0-9]{20}\.json"),
    ("deletion", rf"_dlcache/deleted-{_UUID}\.json"),
    ("lease", rf"_dlcache/leases/{_UUID}\.json"),
    ("temporary", rf"_dlcache/(leases/)?\.{_UUID}\.tmp"),
    ("temporary", r"_dlcache/\.[0-9]{20}\.json\.claim"),
    ("shard", rf"data/([0-9A-Za-z_-]*-)?{_UUID}(-[0-9A-Za-z_-]*)?\.parquet"),
)
_KINDS = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _NAMES)
_SIDECAR = re.compile(r"(.*/)\.([^/]+)\.crc")
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def kind_of(path: str) -> Kind | None:
    """What the file at `path` (relative to its dataset) is, or None if it is not dlcache's.

    A shard's name has a UUID in it; a file of `data/` without one is foreign unless a manifest names it.
    """
    for kind, pattern in _KINDS:
        if pattern.fullmatch(path):
            return kind
    return None


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
