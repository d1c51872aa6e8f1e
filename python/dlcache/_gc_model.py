"""The words of garbage collection: what is there (`Snapshot`), what is to happen (`Plan`), and how (`Step`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeAlias

from ._files import Entry
from ._layout import DATA, FOLDERS, MANIFESTS, guarded_by, is_plan_keyed, job_of, kind_of
from ._leases import Lease, LeaseKind

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
    """The record of a deletion that began: these versions and shards were to go. live: it has not ended."""

    path: str
    versions: frozenset[int]
    shards: frozenset[str]
    live: bool = False


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """A lease and whether its holder is there. `lease` is None if the file cannot be understood, or, with `live`, if it
    was deleted between the listing and the reading: it may have been renewed under another name."""

    path: str
    lease: Lease | None
    live: bool

    @property
    def holder(self) -> str:
        """Who holds it, for people."""
        return "a process that changes its lease right now" if self.lease is None else self.lease.holder


@dataclass(frozen=True)
class Snapshot:
    """What was found in one directory. versions: ascending. damaged: manifests that cannot be read, with the reason.
    current: the path of the highest manifest, and a hash of its text. name: of the directory, whatever link or relative
    path led there; by default the last part of `path`."""

    path: str
    entries: tuple[Entry, ...]
    versions: tuple[Version, ...] = ()
    damaged: Mapping[str, str] | None = None
    leases: tuple[LeaseFile, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    current: tuple[str, str] | None = None
    name: str = ""

    @cached_property
    def files(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries if entry.kind == "file"}

    @property
    def is_ours(self) -> bool:
        """True for a dataset, for what is left of one, and for an empty directory that a plan key named."""
        if self.versions or self.damaged or self.deletions or any(file.lease for file in self.leases):
            return True
        is_named = any(entry.path == MANIFESTS for entry in self.entries) or is_plan_keyed(self._name)
        return is_named and not self.foreign

    @property
    def is_plan_keyed(self) -> bool:
        """True if the plan key chose the directory; False for a directory that a user chose."""
        return bool(self.versions) and self._name == self.versions[-1].digest

    @property
    def _name(self) -> str:
        return self.name or self.path.rstrip("/").rpartition("/")[2]

    @cached_property
    def named(self) -> frozenset[str]:
        """The shards that a manifest or the record of a deletion names."""
        return frozenset().union(*(v.shards for v in self.versions), *(d.shards for d in self.deletions))

    @cached_property
    def jobs(self) -> frozenset[str]:
        """The writes whose shards can be told: a manifest or a record names a shard of them, or a lease the write."""
        found = {job_of(path) for path in self.named} | {file.lease.job for file in self.leases if file.lease}
        return frozenset(job for job in found if job is not None)

    @cached_property
    def foreign(self) -> tuple[str, ...]:
        """What dlcache did not write."""
        return tuple(entry.path for entry in self.entries if not self._is_own(entry))

    def _is_own(self, entry: Entry) -> bool:
        if entry.kind == "directory":
            return entry.path in FOLDERS
        guarded = guarded_by(entry.path) or entry.path
        if entry.kind != "file":
            return False
        if guarded.startswith(f"{DATA}/"):
            return guarded in self.named or (kind_of(guarded) == "shard" and job_of(guarded) in self.jobs)
        return kind_of(guarded) is not None

    def without(self, leases: Collection[str]) -> Snapshot:
        """The same, as if these lease files were not there."""
        return replace(self, leases=tuple(file for file in self.leases if file.path not in leases))

    def live(self, kind: LeaseKind) -> list[Lease]:
        """The live leases of one kind."""
        return [file.lease for file in self.leases if file.live and file.lease is not None and file.lease.kind == kind]

    @property
    def is_changing(self) -> bool:
        """True if leases were given up or renewed while they were read, so that it is unknown who needs what."""
        return any(file.live and file.lease is None for file in self.leases)

    def users(self, versions: Iterable[int] | None = None) -> list[Lease]:
        """The live leases of the readers of these versions; without versions, of all readers and writers."""
        if versions is None:
            return self.live("reader") + self.live("writer")
        return [lease for lease in self.live("reader") if lease.version in set(versions)]


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

    whole: also the directory goes, if it is empty then. versions: whose manifests go. current: the path of the highest
    manifest and a hash of its text, which tell the dataset from a later one at its place. known: the versions that are
    there. jobs: the writes of which shards go that nothing names. resumes: shards go that the record of an earlier
    deletion names. application: the Spark application that the plan takes for ended. temporary: the version of which it
    takes all processes for ended that made it a temporary one. is_ours: False for a directory
    that dlcache did not make, of which nothing goes.
    """

    path: str
    is_ours: bool
    removals: tuple[Removal, ...] = ()
    kept: tuple[Kept, ...] = ()
    foreign: tuple[str, ...] = ()
    whole: bool = False
    versions: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    jobs: frozenset[str] = frozenset()
    resumes: bool = False
    application: str | None = None
    temporary: int | None = None
    current: tuple[str, str] | None = None
    problem: str | None = None

    @property
    def bytes(self) -> int:
        """The size of all files that go."""
        return sum(removal.bytes for removal in self.removals)

    @property
    def is_of_current(self) -> bool:
        """True if a version that is published later may need what goes: only then must none have come."""
        return self.whole or self.resumes or bool(self.jobs)

    def is_blocked_by(self, file: LeaseFile) -> bool:
        """Whether this lease forbids the plan. It is asked again while the plan is carried out (docs/format.md, 7)."""
        lease = file.lease
        if not file.live or lease is None:
            return file.live
        if lease.kind == "application":
            return self.application is not None and lease.application_id == self.application
        if lease.kind == "temporary":
            return self.temporary is not None and lease.version == self.temporary
        if self.whole:
            return True
        if lease.kind == "reader":
            return lease.version in self.versions or (bool(self.jobs) and self._is_lost(lease.version))
        return (
            self.resumes
            or (bool(self.jobs) and (lease.job is None or lease.job in self.jobs))
            or (bool(self.versions) and not is_past(lease, max(self.versions)))
        )

    def _is_lost(self, version: int | None) -> bool:
        """Whether a reader's manifest is gone, so that its shards cannot be told."""
        return version is not None and version not in self.known and version <= max(self.known, default=version)


def is_past(writer: Lease, version: int) -> bool:
    """Whether a writer can neither publish `version` nor a version that is made of it."""
    return writer.base_version is not None and writer.base_version >= version


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
    """Delete a directory if it is local and empty."""

    path: str


@dataclass(frozen=True, slots=True)
class Recheck:
    """Go on only if no live lease forbids the plan now, and no version was published that its shards may belong to.
    otherwise: what to do if it must stop. is_first: nothing was deleted yet."""

    otherwise: tuple[Put | Remove, ...] = ()
    is_first: bool = False


Step: TypeAlias = Put | Remove | RemoveDirectory | Recheck
