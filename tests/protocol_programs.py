"""The programs of the model: `gc`, `delete` and readers run dlcache's own code; the writer is that of the connector
(WriteCommand.scala, Publisher.scala), step by step. `Old...` is the protocol before 2026-12, which lost versions."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from protocol_model import NOW, PATH, Program, Recorder, manifest, manifest_path, shard_path

from dlcache._errors import InUseError, NotADatasetError
from dlcache._gc import plan_gc
from dlcache._gc_model import Policy
from dlcache._layout import kind_of, version_of
from dlcache._leases import Lease, parse_lease, write_lease
from dlcache._lifecycle import delete, execute, snapshot
from dlcache._reading import _Held
from dlcache._store import Store

END = datetime(9999, 1, 1, tzinfo=timezone.utc)
AT_ONCE = Policy(grace=timedelta(0), retention=timedelta(0))
LATER = Policy(grace=timedelta(days=7), retention=timedelta(days=7))


def collector(policy: Policy = AT_ONCE) -> Program:
    def run(store: Recorder) -> None:
        plan = plan_gc(snapshot(store.files, NOW), NOW, policy)
        if plan.is_ours:
            execute(store.files, plan, force=False)

    return run


def deleter(store: Recorder) -> None:
    with suppress(InUseError, NotADatasetError):
        delete(store.files)


def clock(store: Recorder) -> None:
    store.do("expire")


def reader(store: Recorder) -> None:
    numbers, _ = _listing(store)
    if not numbers:
        return
    try:
        shards = _manifest(store, numbers[-1])["shards"]
    except FileNotFoundError:
        return
    held = _Held(Store(PATH, None, store), numbers[-1])  # type: ignore[arg-type]
    try:
        held.take()
    except NotADatasetError:
        held.drop()
        return
    store.do("hold", tuple(shard["path"] for shard in shards))
    store.do("release")
    held.drop()


def sequence(*programs: Program) -> Program:
    def run(store: Recorder) -> None:
        for program in programs:
            program(store)

    return run


def writer(mode: str, *, claims: bool = False) -> Program:
    """claims: on a file system without links, a claim says who may rename."""

    def run(store: Recorder) -> None:
        _Writer(store, mode, claims).run()

    return run


class _Writer:
    def __init__(self, store: Recorder, mode: str, claims: bool) -> None:
        self._store, self._mode, self._claims = store, mode, claims
        self._job = store.uuid4()
        self._lease = f"_dlcache/leases/{store.uuid4()}.json"
        self._row = f"row of {store.pid} {self._job.int & 0xFFFF}"
        self._shard = shard_path(self._job)

    def run(self) -> None:
        self._put_lease(None)
        numbers, _ = _listing(self._store)
        self._base, self._had = max(numbers, default=0), bool(numbers)
        self._put_lease(self._base)
        self._store.put(self._shard, b"PAR1....PAR1")
        done = None
        while done is None:
            done = self._publish()
        if not done:
            _discard(self._store, self._shard)
        _discard(self._store, self._lease)

    def _publish(self) -> bool | None:
        """True if it is published, False if it cannot be, None to look again."""
        if not self._confirm():
            return False  # it was halted until gc took its shards for those of a failed write
        numbers, records = _listing(self._store)
        top = max(numbers, default=0)
        for path, record in records.items():
            if self._shard in record["shards"]:
                return False
            if max(record["versions"], default=-1) >= top and self._store.do("running", record["pid"]):
                self._store.do("wait", path, json.dumps(record).encode())
                return None
        if top < self._base:
            self._base = top
            self._put_lease(top)
            return None
        rows, shards = frozenset({self._row}), [self._shard]
        if self._mode == "append" and self._had and not numbers:
            return False  # it was deleted
        if self._mode == "append" and numbers:
            try:
                current = _manifest(self._store, top)
            except FileNotFoundError:
                return None
            rows |= set(current["rows-are"])
            shards = [entry["path"] for entry in current["shards"]] + shards
        text = manifest(top + 1, self._mode, rows, frozenset({self._row}), shards)
        return _created(self._store, top + 1, text, self._claims) or None

    def _confirm(self) -> bool:
        """True if the shards are safe: a lease that has expired or was deleted is taken anew, and they are there."""
        if self._store.do("confirm", self._lease):
            return True
        before, self._lease = self._lease, f"_dlcache/leases/{self._store.uuid4()}.json"
        self._put_lease(self._base)
        _discard(self._store, before)
        return self._shard in _paths(self._store, "data")

    def _put_lease(self, base: int | None) -> None:
        lease = Lease("writer", "host", self._store.pid, "1", END, job=str(self._job), base_version=base)
        self._store.put(self._lease, write_lease(lease))


def _created(store: Recorder, number: int, text: bytes, claims: bool) -> bool:
    if not claims:
        return bool(store.do("publish", number, text))
    temporary, claim = f"_dlcache/.{store.uuid4()}.tmp", f"_dlcache/.{number:020d}.json.claim"
    store.put(temporary, text)
    if not store.do("create", claim, b""):
        store.do("wait", claim, b"")
        store.do("remove", temporary)
        return False
    path = manifest_path(number)
    try:
        store.read(path)
        is_free = False
    except FileNotFoundError:
        is_free = True
    if is_free:
        store.read(temporary)
        store.do("move", number, text)
    store.do("remove", temporary)
    store.do("remove", claim)
    return is_free


def _listing(store: Recorder) -> tuple[list[int], dict[str, Any]]:
    """The versions that are there, and the records of deletions that have not been finished, by their paths."""
    try:
        paths = [f"_dlcache/{info.name}" for info in store.list("_dlcache")]
    except FileNotFoundError:
        return [], {}
    records: dict[str, Any] = {}
    for path in paths:
        if kind_of(path) == "deletion":
            try:
                records[path] = json.loads(store.read(path) or b'{"versions": [], "shards": [], "pid": 0}')
            except FileNotFoundError:
                continue
            if records[path].get("expires-at", "1970-").startswith("1970-"):
                records[path]["versions"] = []
    return sorted(version_of(path) for path in paths if kind_of(path) == "manifest"), records


def _manifest(store: Recorder, number: int) -> Any:
    return json.loads(store.read(manifest_path(number)))


def _discard(store: Recorder, path: str) -> None:
    with suppress(FileNotFoundError):
        store.do("remove", path)


def old_writer(store: Recorder) -> None:
    """Appends. It looks at the current version, and then takes its lease."""
    job, lease = store.uuid4(), f"_dlcache/leases/{store.uuid4()}.json"
    row, shard = f"row of {store.pid} {job.int & 0xFFFF}", shard_path(job)
    numbers, _ = _listing(store)
    if not numbers:
        return
    try:
        current = _manifest(store, numbers[-1])
    except FileNotFoundError:
        return
    store.put(lease, write_lease(Lease("writer", "host", store.pid, "1", END)))
    store.put(shard, b"PAR1....PAR1")
    while True:
        rows = frozenset([row, *current["rows-are"]])
        shards = [*(entry["path"] for entry in current["shards"]), shard]
        number = numbers[-1] + 1
        if store.do("publish", number, manifest(number, "append", rows, frozenset({row}), shards)):
            break
        numbers, _ = _listing(store)
        try:
            current = _manifest(store, numbers[-1])
        except FileNotFoundError:
            continue
    _discard(store, lease)


def old_collector(store: Recorder) -> None:
    """Lists everything, reads the manifests, and then the leases: who has given up a lease in between is not seen."""
    data, leases, manifests = (_paths(store, folder) for folder in ("data", "_dlcache/leases", "_dlcache"))
    versions = {}
    for path in manifests:
        if kind_of(path) == "manifest" and (text := store.files.read(path)) is not None:
            versions[path] = {entry["path"] for entry in json.loads(text)["shards"]}
    kept = versions[max(versions)]
    if _live(store, leases, "reader"):
        return
    superseded = sorted(set(versions) - {max(versions)})
    shards = set().union(*(versions[path] for path in superseded)) - kept
    if not _live(store, leases, "writer"):
        shards |= {path for path in data if kind_of(path) == "shard"} - set().union(*versions.values())
    for path in [*superseded, *sorted(shards)]:
        _discard(store, path)


def old_deleter(store: Recorder) -> None:
    """Looks at the writers' leases once, before the manifests go."""
    data, leases, manifests = (_paths(store, folder) for folder in ("data", "_dlcache/leases", "_dlcache"))
    for path in manifests:
        store.files.read(path)
    if _live(store, leases, "reader") or _live(store, leases, "writer"):
        return
    for path in manifests:
        if kind_of(path) == "manifest":
            _discard(store, path)
    if _live(store, _paths(store, "_dlcache/leases"), "reader"):
        return
    for path in data:
        if kind_of(path) == "shard":
            _discard(store, path)


def _paths(store: Recorder, folder: str) -> list[str]:
    return [entry.path for entry in store.files.listing(folder)]


def _live(store: Recorder, paths: list[str], kind: str) -> list[Lease]:
    leases = [parse_lease(text) for path in paths if (text := store.files.read(path)) is not None]
    return [lease for lease in leases if lease is not None and lease.kind == kind]
