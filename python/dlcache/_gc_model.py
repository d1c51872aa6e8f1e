"""The words of garbage collection: what is there (`Snapshot`), what is to happen (`Plan`), and how (`Step`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeAlias

from ._files import Entry
from ._layout import FOLDERS, guarded_by, is_plan_keyed, kind_of
from ._leases import Lease

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """grace: how old a file must be that nothing names. retention: how long a version stays after the next one came.
    force: take files from under live readers and writers."""

    grace: timedelta = DAY
    retention: timedelta = DAY
    force: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """What a manifest says about the life of its version."""

    number: int
    created_at: datetime
    scope: str
    digest: str
    application_id: str | None
    ttl: timedelta | None
    shards: frozenset[str]


@dataclass(frozen=True, slots=True)
class Deletion:
    """The record of a deletion that began: these versions and shards were to go."""

    path: str
    versions: frozenset[int]
    shards: frozenset[str]


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A lease and whether its holder is there; `lease` is None if the file cannot be understood."""

    path: str
    lease: Lease | None
    live: bool


@dataclass(frozen=True)
class Snapshot:
    """What was found in one directory. versions: ascending. damaged: manifests that cannot be read, with the reason."""

    path: str
    entries: tuple[Entry, ...]
    versions: tuple[Version, ...] = ()
    damaged: Mapping[str, str] | None = None
    leases: tuple[LeaseFile, ...] = ()
    deletions: tuple[Deletion, ...] = ()

    @cached_property
    def files(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries if entry.kind == "file"}

    @property
    def is_ours(self) -> bool:
        """True for a dataset, for what is left of one, and for an empty directory that a plan key named."""
        if self.versions or self.damaged or self.deletions or any(file.lease for file in self.leases):
            return True
        folders = {entry.path for entry in self.entries}
        return folders <= set(FOLDERS) and (bool(folders) or is_plan_keyed(self.path.rstrip("/").rpartition("/")[2]))

    @property
    def is_plan_keyed(self) -> bool:
        """True if the plan key chose the directory; False for a directory that a user chose."""
        return bool(self.versions) and self.path.rstrip("/").rpartition("/")[2] == self.versions[-1].digest

    @cached_property
    def named(self) -> frozenset[str]:
        """The shards that a manifest or the record of a deletion names."""
        return frozenset().union(*(v.shards for v in self.versions), *(d.shards for d in self.deletions))

    @cached_property
    def foreign(self) -> tuple[str, ...]:
        """What dlcache did not write."""
        return tuple(entry.path for entry in self.entries if not self._is_own(entry))

    def _is_own(self, entry: Entry) -> bool:
        if entry.kind == "directory":
            return entry.path in FOLDERS
        guarded = guarded_by(entry.path) or entry.path
        return entry.kind == "file" and (kind_of(guarded) is not None or guarded in self.named)

    def without(self, leases: Collection[str]) -> Snapshot:
        """The same, as if these lease files were not there."""
        return replace(self, leases=tuple(file for file in self.leases if file.path not in leases))

    def users(self, versions: Iterable[int] | None = None) -> list[Lease]:
        """The live leases of the readers of these versions; without versions, of all readers and writers."""
        live = [file.lease for file in self.leases if file.live and file.lease is not None]
        if versions is None:
            return [lease for lease in live if lease.kind != "application"]
        return [lease for lease in live if lease.kind == "reader" and lease.version in set(versions)]


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that goes."""

    path: str
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that would go but for `reason`. path: empty for the whole dataset."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen in one directory.

    whole: also the directory goes, if it is empty then. versions: whose manifests go. known: the versions that are
    there. is_ours: False for a directory that dlcache did not make, of which nothing goes.
    """

    path: str
    is_ours: bool
    removals: tuple[Removal, ...] = ()
    kept: tuple[Kept, ...] = ()
    foreign: tuple[str, ...] = ()
    whole: bool = False
    versions: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def bytes(self) -> int:
        """The size of all files that go."""
        return sum(removal.bytes for removal in self.removals)


@dataclass(frozen=True, slots=True)
class Put:
    """Write a file."""

    path: str
    data: bytes
    temporary: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a file."""

    path: str


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """Delete a directory if it is empty."""

    path: str


@dataclass(frozen=True, slots=True)
class Tidy:
    """Delete a directory of a dataset that stays, if it is empty and that can be done without a race."""

    path: str


@dataclass(frozen=True, slots=True)
class Recheck:
    """Go on only if no live reader has come for one of `versions`, and nobody has published a version that was not
    `known`."""

    versions: tuple[int, ...]
    known: tuple[int, ...]


Step: TypeAlias = Put | Remove | RemoveDirectory | Tidy | Recheck
