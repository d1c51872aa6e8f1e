"""Deletion and garbage collection: takes a snapshot of what is there, lets `_gc` decide, and does it step by step."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from . import _gc
from ._errors import DlcacheError, InUseError, ManifestError, NotADatasetError, OptionError, StorageError
from ._files import Entry, Files
from ._gc_model import (
    DAY,
    Deletion,
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
    Version,
)
from ._layout import DATA, LEASES, MANIFESTS, kind_of, version_of
from ._leases import Lease, parse_lease
from ._manifest import Manifest, parse
from ._processes import is_running, process_start, this_host
from ._reading import drop_leases

logger = logging.getLogger("dlcache")

DELETION = timedelta(hours=1)
"""How long a deletion may take before others go on with it."""
LEASE_LISTINGS = 3
"""How often leases are listed until all that a listing has can be read."""


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What `gc` or `delete` did in one directory, or would do.

    removed: the files that went. kept: what would have gone but for a reason. foreign: files that dlcache did not
    write; they stay. deleted: the dataset is gone, or would be. deferred: why files of
    it stay until the next `gc`, if they do. problem: why the dataset could not be judged.
    """

    path: str
    removed: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    foreign: tuple[str, ...]
    deleted: bool
    deferred: str | None = None
    problem: str | None = None

    @property
    def bytes(self) -> int:
        """The size of the files that went."""
        return sum(removal.bytes for removal in self.removed)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON objects, lists, strings and numbers."""
        return {
            "path": self.path,
            "deleted": self.deleted,
            "bytes": self.bytes,
            "removed": [{"path": r.path, "bytes": r.bytes, "reason": r.reason} for r in self.removed],
            "kept": [{"path": k.path, "reason": k.reason} for k in self.kept],
            "foreign": list(self.foreign),
            "deferred": self.deferred,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class GcReport:
    """What `gc` did, or would do with `dry_run`. skipped: what lies in the root and is not a dataset."""

    root: str
    dry_run: bool
    datasets: tuple[DatasetReport, ...]
    skipped: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of the files that went."""
        return sum(dataset.bytes for dataset in self.datasets)

    @property
    def problems(self) -> tuple[str, ...]:
        """Datasets that could not be judged, with the reason."""
        return tuple(dataset.problem for dataset in self.datasets if dataset.problem is not None)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON objects, lists, strings and numbers."""
        return {
            "root": self.root,
            "dry-run": self.dry_run,
            "bytes": self.bytes,
            "datasets": [dataset.to_dict() for dataset in self.datasets],
            "skipped": list(self.skipped),
        }


def gc(
    root: str | os.PathLike[str],
    *,
    grace: timedelta | float = DAY,
    retention: timedelta | float = DAY,
    dry_run: bool = False,
    force: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> GcReport:
    """Delete what nobody needs any more from a dataset, or from all datasets right below `root`.

    That is: datasets whose time to live has ended; session-keyed datasets whose Spark application has ended; versions
    that were superseded longer than `retention` ago, with the shards that only they name; shards and temporary files
    that no manifest names, older than `grace`; leases of processes that are gone; and what an interrupted deletion
    left. What dlcache did not write stays, and so does what a live reader or writer uses, unless `force`.

    grace and retention are timedeltas or seconds; both default to one day. dry_run deletes nothing.
    A dataset below `root` that cannot be read or changed is a problem in the report. Raises NotADatasetError if `root`
    is not there, StorageError if `root` itself cannot be listed or changed, OptionError for a negative time.
    """
    policy = Policy(_span("grace", grace), _span("retention", retention), force)
    files = Files.of(root, storage_options)
    directories, skipped = datasets_in(files)
    datasets = []
    for dataset in directories:
        now = datetime.now(timezone.utc)
        try:
            plan = _gc.plan_gc(snapshot(dataset, now), now, policy)
            stopped = None if dry_run else execute(dataset, plan, force=force)
        except StorageError as error:
            if dataset is files:
                raise
            datasets.append(DatasetReport(dataset.path, (), (), (), deleted=False, problem=str(error)))
            continue
        if plan.is_ours:
            datasets.append(_report(plan, stopped))
        else:
            skipped.append(plan.path)
    return GcReport(files.path, dry_run, tuple(datasets), tuple(sorted(skipped)))


def delete(
    files: Files, *, force: bool = False, dry_run: bool = False, mine: Collection[str] = frozenset()
) -> DatasetReport:
    """Delete the dataset in a directory, all versions of it. mine: the paths of leases that do not count.

    Raises NotADatasetError if it is none, InUseError if someone uses it and not `force`, StorageError.
    """
    return _delete(files, snapshot(files, datetime.now(timezone.utc)), force=force, dry_run=dry_run, mine=mine)


def _delete(
    files: Files, found: Snapshot, *, force: bool = False, dry_run: bool = False, mine: Collection[str] = frozenset()
) -> DatasetReport:
    if not found.is_ours:
        raise NotADatasetError(f"{files.path} is not a dlcache dataset, so nothing was deleted: it has no {MANIFESTS}/")
    plan = _gc.plan_deletion(found, "deleted")
    users = [] if force else [file.holder for file in found.without(mine).leases if plan.is_blocked_by(file)]
    if users:
        raise _in_use(files, f"is in use by {'; '.join(sorted(users))}")
    stopped = None if dry_run else execute(files, plan, force=force, mine=mine)
    if stopped is not None and not stopped.has_deleted:
        raise _in_use(files, stopped.reason)
    return _report(plan, stopped)


def _in_use(files: Files, why: str) -> InUseError:
    return InUseError(
        f"{files.path} {why}. Wait until they have ended, or delete it with force=True (dlcache rm --force)"
    )


def delete_temporary(files: Files, version: int, mark: str) -> bool:
    """Delete a dataset, if this is its newest version still, and no other process has made it temporary. mark: the
    lease file that says so for this process. Returns whether it is gone. Raises InUseError, StorageError."""
    found = snapshot(files, datetime.now(timezone.utc))
    others = [lease for lease in found.without([mark]).live("temporary") if lease.version == version]
    if others or not found.versions or found.versions[-1].number != version:
        return False
    _delete(files, found)
    return True


class _Sessions:
    """Session-keyed datasets that this process read. A lease of ours may have kept one when its application ended, so
    we look once more when we end."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._read: dict[tuple[str, ...], Files] = {}

    def add(self, files: Files) -> None:
        if not self._read:
            # Exit handlers run in reverse order: this one needs the store, which PyArrow's handler shuts down.
            atexit.unregister(self.finish)
            atexit.register(self.finish)
        self._read.setdefault(files.store.identity, files)

    def finish(self) -> None:
        drop_leases()
        for files in self._read.values():
            try:
                now = datetime.now(timezone.utc)
                plan = _gc.plan_gc(snapshot(files, now), now, Policy())
                if plan.whole:
                    execute(files, plan, force=False)
            except DlcacheError as error:
                logger.debug("left to gc: %s", error)


SESSIONS = _Sessions()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SESSIONS.forget)


def datasets_in(files: Files) -> tuple[list[Files], list[str]]:
    """The directories that can be datasets: this one, or those right below it; and the other things there.

    Raises NotADatasetError if there is no such directory.
    """
    if files.store.local is not None and not os.path.isdir(files.store.local):
        raise NotADatasetError(f"there is no directory {files.path}; give a dataset, or the root of your datasets")
    listing = sorted(files.listing(""), key=lambda entry: entry.path)
    if any(entry.path == MANIFESTS and entry.kind == "directory" for entry in listing):
        return [files], []
    directories = [files.child(entry.path) for entry in listing if entry.kind == "directory"]
    return directories, [files.child(entry.path).path for entry in listing if entry.kind != "directory"]


def snapshot(files: Files, now: datetime) -> Snapshot:
    """What is in a directory, read in the order of docs/format.md, 7: temporary files, leases, records of deletions,
    shards, manifests.

    A writer has a lease from before its first file until after its publication. So the lease of the writer of a
    temporary file is seen, or the file is useless; all shards of a writer that is gone are seen; and a writer that has
    given up its lease has published. All that the process of a record has deleted is seen as gone, if it has ended.
    """
    found = {entry.path: entry for folder in ("", MANIFESTS) for entry in files.listing(folder)}
    leases, entries = _leases(files, now)
    known = {path: _deletion(files, path, now) for path in found if kind_of(path) == "deletion"}
    found.update((entry.path, entry) for entry in [*entries, *files.listing(DATA)])
    latest = {entry.path: entry for entry in files.listing(MANIFESTS)}
    changing = {path for path in found if kind_of(path) in ("manifest", "deletion")}
    for path in changing - set(latest):
        del found[path]
    found.update((path, entry) for path, entry in latest.items() if kind_of(path) in ("manifest", "deletion"))
    paths: dict[str | None, list[str]] = {}
    for entry in found.values():
        if entry.kind == "file":
            paths.setdefault(kind_of(entry.path), []).append(entry.path)
    versions: list[Version] = []
    damaged: dict[str, str] = {}
    current: tuple[str, str] | None = None
    for path in sorted(paths.get("manifest", [])):
        text = files.read(path)
        if text is None:
            continue
        current = (path, _hash(text))
        try:
            versions.append(_version(parse(text, f"{files.path}/{path}"), path))
        except ManifestError as error:
            damaged[path] = str(error)
    deletions = {path: _deletion(files, path, now) for path in paths.get("deletion", []) if path not in known}
    records = tuple(
        record if path in known else replace(record, live=True)  # it may have deleted manifests that were read above
        for path, record in {**known, **deletions}.items()
        if record is not None and path in found
    )
    named = frozenset().union(*(version.shards for version in versions), *(record.shards for record in records))
    if not named <= found.keys():
        found.update((entry.path, entry) for entry in files.listing(DATA))  # it may be younger than the listing
    return Snapshot(
        files.path,
        tuple(found[path] for path in sorted(found)),
        tuple(versions),
        damaged,
        leases,
        records,
        current,
        files.store.name,
    )


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a plan was not carried out to its end. has_deleted: manifests are gone, and the next `gc` does the rest."""

    reason: str
    has_deleted: bool


def execute(
    files: Files, plan: Plan, *, force: bool, mine: Collection[str] = frozenset(), limit: int | None = None
) -> Stopped | None:
    """Carry out a plan, step by step; with `limit` only its first steps, as a process that is killed then.

    Returns None if it was carried out. Raises StorageError.
    """
    for step in _gc.steps(plan, str(uuid.uuid4()), _deleter(), force=force)[:limit]:
        if isinstance(step, Recheck):
            reason = _newcomers(files, plan, mine, step)
            if reason is not None:
                for otherwise in step.otherwise:
                    _carry_out(files, otherwise)
                return Stopped(reason, has_deleted=not step.is_first)
        else:
            _carry_out(files, step)
    return None


def _carry_out(files: Files, step: Put | Remove | RemoveDirectory) -> None:
    match step:
        case Remove(path):
            files.remove(path)
        case RemoveDirectory(path):
            files.remove_directory(path)
        case Put(path, data, temporary):
            try:
                files.put(path, data, temporary)
            except OSError as error:
                raise StorageError(f"cannot write {files.path}/{path}, so nothing was deleted: {error}") from error


def _deleter() -> Lease:
    until = datetime.now(timezone.utc) + DELETION
    return Lease("writer", this_host(), os.getpid(), process_start(os.getpid()), until)


def _newcomers(files: Files, plan: Plan, mine: Collection[str], step: Recheck) -> str | None:
    """What forbids the plan now. The leases first: who has given one up has published what it has to publish."""
    leases, _ = _leases(files, datetime.now(timezone.utc))
    holders = [file.holder for file in leases if file.path not in mine and plan.is_blocked_by(file)]
    if holders:
        return f"has come into use meanwhile by {'; '.join(sorted(holders))}"
    if plan.current is not None and plan.versions and step.is_first:
        path, known = plan.current
        text = files.read(path)
        if text is None or _hash(text) != known:
            return "was deleted meanwhile, or made anew"
    if plan.is_of_current:
        manifests = [entry.path for entry in files.listing(MANIFESTS) if kind_of(entry.path) == "manifest"]
        if any(version_of(path) not in plan.known for path in manifests):
            return "has a new version, published meanwhile"
    return None


def _version(manifest: Manifest, path: str) -> Version:
    if manifest.version != version_of(path):
        raise ManifestError(f"{path} says that it is version {manifest.version}; the file was renamed or copied")
    return Version(
        manifest.version,
        manifest.created_at,
        manifest.plan_key.scope,
        manifest.plan_key.digest,
        manifest.plan_key.application_id,
        manifest.ttl,
        frozenset(manifest.shards.paths),
    )


def _leases(files: Files, now: datetime) -> tuple[tuple[LeaseFile, ...], list[Entry]]:
    """The leases, and what is in their folder. One that is listed and then gone counts as live: it may have been
    renewed under a name that the listing does not have. Before that they are listed again."""
    for _ in range(LEASE_LISTINGS):
        entries = files.listing(LEASES)
        paths = [entry.path for entry in entries if entry.kind == "file" and kind_of(entry.path) == "lease"]
        texts = {path: files.read(path) for path in paths}
        if None not in texts.values():
            break
    return tuple(_lease(path, text, now) for path, text in texts.items()), entries


def _lease(path: str, text: bytes | None, now: datetime) -> LeaseFile:
    if text is None:
        return LeaseFile(path, None, live=True)
    lease = parse_lease(text)
    return LeaseFile(path, lease, lease is not None and lease.is_live(now, this_host(), is_running))


def _deletion(files: Files, path: str, now: datetime) -> Deletion | None:
    text = files.read(path)
    if text is None:
        return None
    try:
        members = json.loads(text)
        versions, shards = members["versions"], members["shards"]
        sound = all(type(version) is int for version in versions) and all(isinstance(shard, str) for shard in shards)
    except (ValueError, RecursionError, LookupError, TypeError):
        sound = False
    if not sound:
        return Deletion(path, frozenset(), frozenset())
    deleter = parse_lease(json.dumps({**members, "kind": "writer"}).encode())
    live = deleter is not None and deleter.is_live(now, this_host(), is_running)
    return Deletion(path, frozenset(versions), frozenset(shards), live)


def _report(plan: Plan, stopped: Stopped | None) -> DatasetReport:
    if stopped is None:
        return DatasetReport(plan.path, plan.removals, plan.kept, plan.foreign, plan.whole, None, plan.problem)
    manifests = tuple(removal for removal in plan.removals if kind_of(removal.path) == "manifest")
    removals = manifests if stopped.has_deleted else ()
    deferred = f"it {stopped.reason}; the next gc deletes what is left"
    return DatasetReport(plan.path, removals, plan.kept, plan.foreign, False, deferred, plan.problem)


def _span(name: str, value: timedelta | float) -> timedelta:
    span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if span < timedelta(0):
        raise OptionError(f"{name} is {value}; it must not be negative")
    return span
