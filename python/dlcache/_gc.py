"""What may go from a dataset, and why: a plan from what is there. Pure; `_lifecycle` looks, and carries it out.

The order of a deletion makes it safe to stop anywhere, and beside readers and writers (docs/format.md, 7): a record of
what is about to go; a look at the leases; the manifests from the lowest to the highest; another look; the shards; then
everything else, the record last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import pairwise

from ._gc_model import (
    Kept,
    LeaseFile,
    Plan,
    Policy,
    Put,
    Recheck,
    Removal,
    Remove,
    RemoveDirectory,
    Snapshot,
    Step,
    Version,
    is_past,
)
from ._layout import DATA, LEASES, MANIFESTS, guarded_by, job_of, kind_of, version_of
from ._leases import Lease, utc

UNFINISHED = "left by a deletion that did not finish"
ENDED = datetime(1970, 1, 1, tzinfo=timezone.utc)
CHANGING = "its leases change right now; the next gc looks again"


def plan_gc(snapshot: Snapshot, now: datetime, policy: Policy) -> Plan:
    """What has to go from a dataset at `now`."""
    if not snapshot.is_ours:
        return Plan(snapshot.path, is_ours=False)
    if snapshot.damaged:
        problem = "; ".join(snapshot.damaged.values())
        return Plan(snapshot.path, True, kept=(Kept("", problem),), foreign=snapshot.foreign, problem=problem)
    if snapshot.is_changing and not policy.force:
        return Plan(snapshot.path, True, kept=(Kept("", CHANGING),), foreign=snapshot.foreign)
    sweep = _Sweep(snapshot, now, policy)
    end = sweep.end_of_life()
    return sweep.plan() if end is None else plan_deletion(snapshot, end, sweep.application, sweep.temporary)


def plan_deletion(
    snapshot: Snapshot, reason: str, application: str | None = None, temporary: int | None = None
) -> Plan:
    """All that dlcache wrote goes, whoever uses it: the caller has asked `snapshot.users()`. application: which one has
    ended, if that is the reason. temporary: the version, if it was a temporary one, and that is the reason."""
    if not snapshot.is_ours:
        return Plan(snapshot.path, is_ours=False)
    foreign = set(snapshot.foreign)
    foreign |= {record.path for record in snapshot.deletions if record.live}
    removals = tuple(Removal(path, entry.size, reason) for path, entry in snapshot.files.items() if path not in foreign)
    versions = tuple(version_of(removal.path) for removal in removals if kind_of(removal.path) == "manifest")
    return Plan(
        snapshot.path,
        True,
        removals,
        (),
        snapshot.foreign,
        whole=True,
        versions=versions,
        known=versions,
        application=application,
        temporary=temporary,
        current=snapshot.current,
    )


def steps(plan: Plan, unique: str, deleter: Lease, *, force: bool) -> list[Step]:
    """How a plan is carried out. unique: a new UUID, for the record of the deletion. deleter: who carries it out, and
    until when others let it; it has no kind."""
    by_kind: dict[str, list[str]] = {}
    for removal in plan.removals:
        kind = kind_of(removal.path) or ("shard" if removal.path.startswith(f"{DATA}/") else "other")
        by_kind.setdefault("other" if guarded_by(removal.path) else kind, []).append(removal.path)
    manifests, records = sorted(by_kind.pop("manifest", [])), by_kind.pop("deletion", [])
    shards = by_kind.pop("shard", [])
    result: list[Step] = []
    if manifests or shards:
        record = f"{MANIFESTS}/deleted-{unique}.json"
        members = {"versions": plan.versions, "shards": shards}

        def put(expires_at: datetime) -> Put:
            holder = {
                "host": deleter.host,
                "pid": deleter.pid,
                "process-start": deleter.process_start,
                "expires-at": utc(expires_at),
            }
            return Put(record, json.dumps({**members, **holder}).encode(), f"{MANIFESTS}/.{unique}.tmp")

        result.append(put(deleter.expires_at))
        result += [] if force else [Recheck((Remove(record),), is_first=True)]
        result += map(Remove, manifests)
        result += [] if force or not manifests else [Recheck((put(ENDED),))]
        records = [*records, record]
    elif plan.removals and not force:
        result.append(Recheck(is_first=True))
    result += map(Remove, shards)
    result += (Remove(path) for paths in by_kind.values() for path in paths)
    if plan.whole:
        result += [RemoveDirectory(DATA), RemoveDirectory(LEASES)]
    elif any(kind_of(removal.path) == "lease" for removal in plan.removals):
        result.append(RemoveDirectory(LEASES))
    result += map(Remove, records)
    if plan.whole:
        result += [RemoveDirectory(MANIFESTS), RemoveDirectory("")]
    return result


class _Sweep:
    """One plan in the making: what goes and what is kept, in the order in which it was decided."""

    def __init__(self, snapshot: Snapshot, now: datetime, policy: Policy) -> None:
        self._there, self._now, self._policy = snapshot, now, policy
        self._going: dict[str, Removal] = {}
        self._kept: list[Kept] = []
        self._versions: list[int] = []
        self._jobs: set[str] = set()
        self._resumes = False
        self.application: str | None = None
        self.temporary: int | None = None

    def plan(self) -> Plan:
        """The plan for a dataset that stays, or for what is left of one."""
        self._superseded_versions()
        self._deletions()
        self._unnamed_shards()
        self._temporaries()
        self._leases()
        self._checksums()
        return Plan(
            self._there.path,
            True,
            tuple(self._going[path] for path in sorted(self._going)),
            tuple(self._kept),
            self._there.foreign,
            whole=self._is_husk(),
            versions=tuple(self._versions),
            known=tuple(version.number for version in self._there.versions),
            jobs=frozenset(self._jobs),
            resumes=self._resumes,
            current=self._there.current,
        )

    def end_of_life(self) -> str | None:
        """Why the whole dataset goes, or None if it stays."""
        users = [] if self._policy.force else self._there.users()
        if not self._there.versions:
            is_left = self._there.deletions and not any(record.live for record in self._there.deletions)
            return UNFINISHED if is_left and not users else None
        reason = self._expired() or self._ended() or self._was_temporary()
        if reason is not None and users:
            self._kept.append(Kept("", f"{reason}, but it is in use by {_names(users)}"))
            return None
        return reason

    def _expired(self) -> str | None:
        current = self._there.versions[-1]
        if current.ttl is None or self._now < current.created_at + current.ttl:
            return None
        return f"its time to live ended at {utc(current.created_at + current.ttl)}"

    def _ended(self) -> str | None:
        """A session-keyed dataset goes with its application, unless a user chose its path. One that never had a lease
        has the grace period."""
        current = self._there.versions[-1]
        if current.scope != "session" or not self._there.is_plan_keyed:
            return None
        mine = [file for file in self._there.leases if _keeps(file, current)]
        if any(file.live for file in mine) or (not mine and not self._is_old(current.created_at.timestamp())):
            return None
        self.application = current.application_id
        return f"session-keyed, and its Spark application {current.application_id} has ended"

    def _was_temporary(self) -> str | None:
        """A temporary dataset goes with the processes that made it one, unless somebody has written another version."""
        current = self._there.versions[-1]
        marks = [file for file in self._there.leases if _marks(file, current)]
        if not marks or any(file.live for file in marks):
            return None
        self.temporary = current.number
        return f"temporary, and its process has ended: {_names(file.lease for file in marks if file.lease)}"

    def _superseded_versions(self) -> None:
        """The manifests of old versions, and the shards that only they name."""
        versions = self._there.versions
        reasons: dict[int, str] = {}
        for version, successor in pairwise(versions):
            reason = self._superseded(version, successor)
            if reason is not None:
                reasons[version.number] = reason
        staying = _shards(version for version in versions if version.number not in reasons)
        for path in self._there.files:
            if kind_of(path) == "manifest" and version_of(path) in reasons:
                self._go(path, reasons[version_of(path)])
        for version in versions:
            if version.number in reasons:
                self._versions.append(version.number)
                for path in version.shards - staying:
                    self._go(path, reasons[version.number])

    def _superseded(self, version: Version, successor: Version) -> str | None:
        if self._now < successor.created_at + self._policy.retention:
            return None
        reason = f"version {version.number} was superseded at {utc(successor.created_at)}"
        writers = [lease for lease in self._there.live("writer") if not is_past(lease, version.number)]
        users = [] if self._policy.force else self._there.users([version.number]) + writers
        if users:
            self._kept.append(Kept(f"version {version.number}", f"{reason}, but it is in use by {_names(users)}"))
            return None
        return reason

    def _deletions(self) -> None:
        """What earlier deletions left: they are finished as soon as nobody reads those versions any more."""
        named = _shards(self._there.versions)
        for record in self._there.deletions:
            users = [] if self._policy.force else self._there.users(record.versions) + self._there.live("writer")
            if users:
                self._kept.append(Kept(record.path, f"deleted, but still in use by {_names(users)}"))
                continue
            if record.live:
                self._kept.append(Kept(record.path, "a deletion that has not ended"))
                continue
            self._resumes = True
            for path in record.shards - named:
                self._go(path, UNFINISHED)
            self._go(record.path, UNFINISHED)

    def _unnamed_shards(self) -> None:
        """Shards of writers that failed. None goes while its writer is there, or while a reader reads a version whose
        manifest is gone: whose shards they are cannot be known then."""
        present = {version.number for version in self._there.versions}
        lost = [lease for lease in self._there.live("reader") if lease.version not in present]
        for path in self._unnamed():
            job = job_of(path)
            writers = [lease for lease in self._there.live("writer") if lease.job in (None, job)]
            if (lost or writers) and not self._policy.force:
                self._kept.append(
                    Kept(path, f"no manifest names it, but the dataset is in use by {_names(lost + writers)}")
                )
                continue
            self._go_if_old(path, "no manifest names it")
            if path in self._going and job is not None:
                self._jobs.add(job)

    def _unnamed(self) -> list[str]:
        others = self._there.named | set(self._there.foreign)
        return [path for path in self._there.files if kind_of(path) == "shard" and path not in others]

    def _temporaries(self) -> None:
        """A writer's temporary files are in `_dlcache` itself. Who writes a lease writes it again if its temporary file
        goes."""
        writers = [] if self._policy.force else self._there.live("writer")
        for path in self._there.files:
            if kind_of(path) != "temporary":
                continue
            if writers and not path.startswith(f"{LEASES}/"):
                self._kept.append(Kept(path, f"a temporary file, but the dataset is in use by {_names(writers)}"))
            else:
                self._go_if_old(path, "a temporary file that was left over")

    def _leases(self) -> None:
        """Dead leases. They stay while they tell something: that the application ended, or whose shards these are."""
        versions = self._there.versions
        jobs = {job_of(path) for path in self._unnamed() if path not in self._going}
        for file in self._there.leases:
            if file.lease is None:
                self._go_if_old(file.path, "a lease that cannot be understood")
            elif not file.live and file.lease.job not in jobs and not (versions and _tells(file, versions[-1])):
                self._go(file.path, f"a lease whose holder is gone: {file.lease.holder}")

    def _checksums(self) -> None:
        """`.x.crc` goes with `x`."""
        for path in self._there.files:
            guarded = guarded_by(path)
            if guarded is None or path in self._there.foreign:
                continue
            if guarded in self._going:
                self._go(path, self._going[guarded].reason)
            elif guarded not in self._there.files:
                self._go_if_old(path, "a checksum of a file that is gone")

    def _is_husk(self) -> bool:
        """True if there is no dataset any more, only what is left of one."""
        if self._there.versions or any(path not in self._going for path in self._there.files):
            return False
        return bool(self._going) or all(self._is_old(entry.modified) for entry in self._there.entries)

    def _go(self, path: str, reason: str) -> None:
        entry = self._there.files.get(path)
        if entry is not None and path not in self._going:
            self._going[path] = Removal(path, entry.size, reason)

    def _go_if_old(self, path: str, reason: str) -> None:
        if path in self._going:
            return
        if self._is_old_file(path):
            self._go(path, reason)
        else:
            self._kept.append(Kept(path, f"{reason}, but it is younger than the grace period"))

    def _is_old_file(self, path: str) -> bool:
        return self._is_old(self._there.files[path].modified)

    def _is_old(self, modified: float) -> bool:
        return modified <= (self._now - self._policy.grace).timestamp()


def _keeps(file: LeaseFile, version: Version) -> bool:
    """True for the lease of the application that this version belongs to, live or not."""
    lease = file.lease
    return (
        lease is not None
        and lease.kind == "application"
        and version.scope == "session"
        and lease.application_id == version.application_id
    )


def _marks(file: LeaseFile, version: Version) -> bool:
    """True for a lease that makes this version a temporary one, live or not."""
    return file.lease is not None and file.lease.kind == "temporary" and file.lease.version == version.number


def _tells(file: LeaseFile, version: Version) -> bool:
    """True for a lease that says when the current version goes."""
    return _keeps(file, version) or _marks(file, version)


def _names(leases: Iterable[Lease]) -> str:
    return ", ".join(sorted(lease.holder for lease in leases))


def _shards(versions: Iterable[Version]) -> frozenset[str]:
    return frozenset().union(*(version.shards for version in versions))
