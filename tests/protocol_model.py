"""A small model checker for docs/format.md, 5-7: it runs writers, readers, deletions and `gc` beside each other in
every order of their operations on a store, with crashes and expired leases, and checks after each operation that
nothing is lost.

The code that deletes and the code that reads are dlcache's own; they run over a store in memory. A program has no state
but the answers that it got from the store, so it is run again from its start with the recorded answers to find its next
operation. No threads are needed, and equal states are explored once.
"""

from __future__ import annotations

import json
import types
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID

from dlcache import _lifecycle, _reading
from dlcache._drivers import Info
from dlcache._files import Files
from dlcache._leases import utc
from dlcache._store import Store

NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
PATH = "s3://bucket/set"
DIGEST = "ab" * 32
DONE = ("done",)


class ViolationError(AssertionError):
    """A state that the protocol must not reach, with the operations that lead to it."""


class Pause(BaseException):
    """Ends a program at the operation whose answer is not known yet."""


class Operation(NamedTuple):
    """One atomic operation. name: a method of `World`."""

    name: str
    arguments: tuple[Any, ...]


class Recorder:
    """The store of one program (the `Remote` of `_store`), which answers from `answers` as far as they go."""

    def __init__(self, pid: int, answers: tuple[Any, ...], scheme: str, pages: int) -> None:
        self.pid, self.pages = pid, pages
        self.uri = types.SimpleNamespace(scheme=scheme, authority="", path="")
        self.options: dict[str, Any] = {}
        self._answers = iter(answers)
        self.next: Operation | None = None
        self._uuids = 0

    def do(self, name: str, *arguments: Any) -> Any:
        if self.next is None:
            for answer in self._answers:
                if isinstance(answer, Exception):
                    raise answer
                return answer
            self.next = Operation(name, arguments)
        raise Pause

    def list(self, folder: str) -> list[Info]:
        found = [info for page in range(self.pages) for info in self.do("list", folder, page, self.pages)]
        if not found:
            raise FileNotFoundError(folder)
        return found

    def info(self, path: str) -> Info:
        self.do("read", path)
        return Info(path, "file", 1, 0.0)

    def read(self, path: str) -> bytes:
        return bytes(self.do("read", path))

    def put(self, path: str, data: bytes) -> None:
        if self.uri.scheme == "hdfs":
            self.do("put", path, b"")
        self.do("put", path, data)

    def remove(self, path: str) -> None:
        self.do("remove", path)

    @property
    def files(self) -> Files:
        return Files(Store(PATH, None, self))  # type: ignore[arg-type]

    def uuid4(self) -> UUID:
        self._uuids += 1
        return UUID(int=self.pid << 16 | self._uuids)


Program = Callable[[Recorder], None]


@dataclass(frozen=True)
class World:
    """A state. files: what is stored. dead: the pids of processes that are gone. created: the versions that were
    published since there last was none, with the rows of each. held: what readers were promised.
    publishing: the writers that have made sure of their lease, and have not published yet."""

    files: tuple[tuple[str, bytes], ...]
    dead: frozenset[int] = frozenset()
    created: tuple[tuple[int, frozenset[str]], ...] = ()
    held: frozenset[tuple[int, tuple[str, ...]]] = frozenset()
    publishing: frozenset[int] = frozenset()
    progress: tuple[int, ...] = ()

    def answer(self, pid: int, operation: Operation) -> tuple[World, Any] | None:
        """The state after an operation, and its answer, which may be an exception; None if it must wait."""
        return getattr(self, f"_{operation.name}")(pid, *operation.arguments)  # type: ignore[no-any-return]

    def _with(self, files: dict[str, bytes], **changes: Any) -> World:
        if not any(path.startswith("_dlcache/0") for path in files):
            changes = {"created": (), **changes}
        return replace(self, files=tuple(sorted(files.items())), **changes)

    def _list(self, pid: int, folder: str, page: int, pages: int) -> tuple[World, Any]:
        prefix = f"{folder}/" if folder else ""
        found: dict[str, Info] = {}
        for path, data in self.files:
            if path.startswith(prefix):
                name, deeper, _ = path.removeprefix(prefix).partition("/")
                if zlib.crc32(name.encode()) % pages == page:
                    found[name] = Info(name, "directory" if deeper else "file", len(data), 0.0)
        return self, tuple(found[name] for name in sorted(found))

    def _read(self, pid: int, path: str) -> tuple[World, Any]:
        found = dict(self.files).get(path)
        return self, FileNotFoundError(path) if found is None else found

    def _put(self, pid: int, path: str, data: bytes) -> tuple[World, Any]:
        return self._with({**dict(self.files), path: data}), None

    def _remove(self, pid: int, path: str) -> tuple[World, Any]:
        files = dict(self.files)
        if files.pop(path, None) is None:
            return self, FileNotFoundError(path)
        return self._with(files, publishing=self.publishing - {pid}), None

    def _create(self, pid: int, path: str, data: bytes) -> tuple[World, Any]:
        """Create a file unless it is there."""
        if path in dict(self.files):
            return self, False
        return self._with({**dict(self.files), path: data}), True

    def _wait(self, pid: int, path: str, data: bytes) -> tuple[World, Any] | None:
        """Wait while a file has this content, and the process that it names is there."""
        is_gone = any(f'"pid": {other},'.encode() in data for other in self.dead)
        return None if dict(self.files).get(path) == data and not is_gone else (self, None)

    def _publish(self, pid: int, number: int, data: bytes, *, must_be_free: bool = True) -> tuple[World, Any]:
        """Create a manifest, and check that it may be."""
        path, files = manifest_path(number), dict(self.files)
        if path in files and must_be_free:
            return self, False
        manifest = json.loads(data)
        rows, added = frozenset(manifest["rows-are"]), frozenset(manifest["added"])
        if number <= max((n for n, _ in self.created), default=0):
            raise ViolationError(f"version {number} is published after {[n for n, _ in self.created]}")
        if manifest["mode"] == "append" and self.created:
            before = self.created[-1][1]
            if rows != before | added:
                raise ViolationError(f"version {number} has the rows {set(rows)}, and not {set(before | added)}")
        return self._with(
            {**files, path: data}, created=(*self.created, (number, rows)), publishing=self.publishing - {pid}
        ), True

    def _move(self, pid: int, number: int, data: bytes) -> tuple[World, Any]:
        """Rename a temporary file to a manifest, on a store where that replaces."""
        return self._publish(pid, number, data, must_be_free=False)

    def _running(self, pid: int, other: int) -> tuple[World, Any]:
        return self, other not in self.dead

    def _hold(self, pid: int, shards: tuple[str, ...]) -> tuple[World, Any]:
        """A reader has its lease. One whose version was deleted, and another made in its place, gets an error from the
        first shard that it opens: names of shards are never given twice."""
        if not any(_names(data, shards) for path, data in self.files):
            return self, None
        return self._with(dict(self.files), held=self.held | {(pid, shards)}), None

    def _release(self, pid: int) -> tuple[World, Any]:
        return self._with(dict(self.files), held=frozenset(h for h in self.held if h[0] != pid)), None

    def _confirm(self, pid: int, lease: str) -> tuple[World, Any]:
        """Whether a writer's lease is there and holds. It is renewed for so long that the writer can publish."""
        text = dict(self.files).get(lease)
        return replace(self, publishing=self.publishing | {pid}), text is not None and b'"2001-' not in text

    def _expire(self, pid: int) -> tuple[World, Any] | None:
        """Time passes: all writers' leases expire."""
        if self.publishing:
            return None
        files = dict(self.files)
        for path, data in self.files:
            if path.startswith("_dlcache/leases/") and b'"writer"' in data:
                files[path] = data.replace(b"9999-", b"2001-")
        return self._with(files), None

    def crashed(self, pid: int) -> World:
        held = frozenset(h for h in self.held if h[0] != pid)
        return replace(self, dead=self.dead | {pid}, held=held, publishing=self.publishing - {pid})

    def check(self) -> None:
        """Whatever is visible is whole, and what a reader was promised is there."""
        files = dict(self.files)
        for path, data in self.files:
            if path.startswith("_dlcache/0"):
                missing = [shard["path"] for shard in json.loads(data)["shards"] if shard["path"] not in files]
                if missing:
                    raise ViolationError(f"{path} lacks {missing}")
        for pid, shards in self.held:
            missing = [shard for shard in shards if shard not in files]
            if missing:
                raise ViolationError(f"reader {pid} lacks {missing}")
        if FOREIGN not in files:
            raise ViolationError("a file that dlcache did not write is gone")


def _names(text: bytes, shards: tuple[str, ...]) -> bool:
    return text.startswith(b'{"format') and all(shard.encode() in text for shard in shards)


FOREIGN = "data/part-00000-0-11111111-2222-3333-4444-555555555555.parquet"


def manifest_path(number: int) -> str:
    return f"_dlcache/{number:020d}.json"


def shard_path(job: UUID) -> str:
    return f"data/dlcache-{job}-00000-0-00.parquet"


def manifest(number: int, mode: str, rows: frozenset[str], added: frozenset[str], shards: list[str]) -> bytes:
    entries = [
        {"path": s, "version": 1, "rows": 1, "bytes": 12, "crc32": 0, "row-group-rows": 1, "chunks": []} for s in shards
    ]
    members = {
        "format-version": 1,
        "dataset-id": str(UUID(int=1)),
        "version": number,
        "created-at": utc(NOW - timedelta(days=2)),
        "created-by": "model",
        "plan-key": {"scope": "durable", "digest": DIGEST},
        "schema": {"type": "struct", "fields": []},
        "columns": [],
        "rows": len(shards),
        "bytes": 12 * len(shards),
        "shards": entries,
        "options": {},
        "mode": mode,
        "rows-are": sorted(rows),
        "added": sorted(added),
    }
    return json.dumps(members).encode()


def dataset(versions: int) -> World:
    """A dataset whose versions each replaced the one before; none with `versions=0`. There is a foreign file too."""
    files, created = {FOREIGN: b"foreign"}, []
    for number in range(1, versions + 1):
        rows, shard = frozenset({f"row {number}"}), shard_path(UUID(int=number))
        files |= {shard: b"PAR1....PAR1", manifest_path(number): manifest(number, "overwrite", rows, rows, [shard])}
        created.append((number, rows))
    return World(tuple(sorted(files.items())), created=tuple(created))


class _State(NamedTuple):
    """running: the program whose operation was the last. switches: how many programs were interrupted."""

    world: World
    running: int | None
    switches: int


@dataclass
class Explorer:
    """Explores all orders of the operations of some programs from a first state.

    switches: how often a program may be interrupted by another; None for all orders. With three programs all orders are
    millions; each race that was ever found needs two. crashes: the pids of programs that may be killed at any
    operation. scheme: `hdfs` for a store that shows a file
    before it is whole. pages: a listing is as many operations, each of which lists some of the names. finish: run
    after all programs have ended.
    """

    start: World
    programs: dict[int, Program]
    switches: int | None = None
    crashes: frozenset[int] = frozenset()
    scheme: str = "s3"
    pages: int = 1
    finish: Callable[[World], None] | None = None
    last: World = field(init=False)
    _answers: list[tuple[Any, ...]] = field(default_factory=lambda: [()])
    _numbers: dict[tuple[int, Any], int] = field(default_factory=dict)
    _next: dict[tuple[int, int], Operation | None] = field(default_factory=dict)

    def run(self) -> int:
        """The number of states. Raises ViolationError at the first bad one, with the way there."""
        pids = sorted(self.programs)
        start = replace(self.start, progress=(0,) * len(pids))
        first = _State(start, None, 0)
        came: dict[_State, tuple[_State | None, str]] = {first: (None, "")}
        ends: set[tuple[Any, ...]] = set()
        todo = [first]
        with patched():
            while todo:
                state = todo.pop()
                try:
                    successors = list(self._successors(state, pids))
                    for after, what in successors:
                        if after not in came:
                            came[after] = (state, what)
                            after.world.check()
                            todo.append(after)
                    if not successors and state.world.files not in ends:
                        ends.add(state.world.files)
                        self.last = state.world
                        if self.finish is not None:
                            self.finish(state.world)
                except AssertionError as violation:
                    raise ViolationError(f"{violation}\n{self._way(came, state)}") from None
        return len(came)

    def _successors(self, state: _State, pids: list[int]) -> Iterator[tuple[_State, str]]:
        world = state.world
        operations = {pid: self._operation(pid, world.progress[i]) for i, pid in enumerate(pids)}
        is_interrupted = operations.get(state.running or 0) is not None
        for i, pid in enumerate(pids):
            operation = operations[pid]
            switches = state.switches + (is_interrupted and pid != state.running)
            if operation is None or (self.switches is not None and switches > self.switches):
                continue
            switches = switches if self.switches is not None else 0
            running = pid if self.switches is not None else None
            try:
                answered = world.answer(pid, operation)
            except ViolationError as violation:
                raise ViolationError(f"{violation}\nlast: {pid} {_shown(operation)}") from None
            if answered is None:
                continue
            self._check_seen(world.progress[i], operation, dict(world.files))
            after, answer = answered
            moved = _moved(after, i, self._recorded(world.progress[i], answer))
            yield _State(moved, running, switches), f"{pid} {_shown(operation)}"
            if pid in self.crashes:
                yield _State(_moved(world.crashed(pid), i, -1), running, switches), f"{pid} is killed"

    def _check_seen(self, answers: int, operation: Operation, files: dict[str, bytes]) -> None:
        """A version is deleted only by who has read it: not one that took its place."""
        path = operation.arguments[0] if operation.name == "remove" else ""
        if path.startswith("_dlcache/0") and files.get(path) not in (None, *self._answers[answers]):
            raise ViolationError(f"{path} is deleted in place of another version")

    def _recorded(self, answers: int, answer: Any) -> int:
        """The number of a program's answers with one more."""
        key = (answers, (str(answer),) if isinstance(answer, Exception) else answer)
        if key not in self._numbers:
            self._answers.append((*self._answers[answers], answer))
            self._numbers[key] = len(self._answers) - 1
        return self._numbers[key]

    def _operation(self, pid: int, answers: int) -> Operation | None:
        """The next operation of a program after these answers; None if it has ended."""
        if answers < 0:
            return None
        if (pid, answers) not in self._next:
            recorder = Recorder(pid, self._answers[answers], self.scheme, self.pages)
            global _current
            _current = recorder
            with suppress(Pause):
                self.programs[pid](recorder)
            self._next[pid, answers] = recorder.next
        return self._next[pid, answers]

    def _way(self, came: dict[_State, tuple[_State | None, str]], state: _State | None) -> str:
        steps: list[str] = []
        while state is not None:
            state, what = came[state]
            steps.append(what)
        return "\n".join(reversed(steps))


def _moved(world: World, index: int, answers: int) -> World:
    progress = (*world.progress[:index], answers, *world.progress[index + 1 :])
    return replace(world, progress=progress)


def _shown(operation: Operation) -> str:
    return f"{operation.name} {' '.join(str(argument)[:60] for argument in operation.arguments)}"


_current: Recorder


@contextmanager
def patched() -> Iterator[None]:
    """dlcache's code asks the running program for processes, identifiers and the time."""
    clock = types.SimpleNamespace(now=lambda zone: NOW)
    uuids = types.SimpleNamespace(uuid4=lambda: _current.uuid4())
    processes: dict[str, Any] = {"this_host": lambda: "host", "uuid": uuids, "datetime": clock}
    own: Any = types.SimpleNamespace(getpid=lambda: _current.pid)
    with (
        mock.patch.multiple(
            _lifecycle,
            is_running=lambda pid, start: _current.do("running", pid),
            process_start=lambda pid: "1",
            os=own,
            **processes,
        ),
        mock.patch.multiple(_reading, os=own, process_start=lambda pid: "1", **processes),
    ):
        yield
