"""What one call of `cache` did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheResult:
    """What one call of `cache` did.

    path, version: the dataset. digest, scope: its key. hit: it was there, and nothing was written. rows, bytes, shards:
    of the whole dataset. seconds: from the write's begin to the published manifest, or to the hit.
    """

    path: str
    version: int
    digest: str
    scope: str
    hit: bool
    rows: int
    bytes: int
    shards: int
    seconds: float

    def __str__(self) -> str:
        did = "hit" if self.hit else f"written in {self.seconds:.1f} s"
        shards = f"{self.shards} shard{'' if self.shards == 1 else 's'}"
        return (
            f"dlcache: {did}: {self.rows:,} rows, {_size(self.bytes)} in {shards}, "
            f"key {self.digest[:12]} ({self.scope}), {self.path}"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.95:
            return f"{count:.{0 if unit == 'B' else 1}f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
