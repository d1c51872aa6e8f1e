"""Leases: who holds one, when it is dead, and that readers take and give them back, across real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from _roots import gone_pid
from _roots import lease as put_lease
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import _reading
from dlcache._files import Files
from dlcache._leases import Lease, parse_lease, write_lease
from dlcache._processes import is_running, process_start, this_host

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(tmp_path / "train", pa.table({"x": np.arange(100)}), shard_rows=30, row_group_rows=10)


def leases(dataset: Path) -> list[Path]:
    return sorted((dataset / "_dlcache" / "leases").glob("*.json"))


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that runs `code`, with pipes for its input and output."""
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture
def reader(dataset: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is in the middle of an epoch."""
    process = python(
        """
        import sys, dlcache
        for batch in dlcache.load(sys.argv[1]).numpy(10):
            print("reading", flush=True)
            sys.stdin.readline()
        """,
        str(dataset),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        yield process
        process.kill()


LEASES = st.builds(
    Lease,
    st.sampled_from(["reader", "application", "writer", "temporary"]),
    st.text(),
    st.integers(1, 2**22),
    st.none() | st.text(),
    st.datetimes(timezones=st.just(timezone.utc)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    st.integers(1, 2**62),
    st.text(),
    st.none() | st.text(),
    st.none() | st.integers(0, 2**62),
)


@given(LEASES)
def test_a_lease_is_what_was_written(lease: Lease) -> None:
    assert parse_lease(write_lease(lease)) == lease


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)
KEYS = ["kind", "host", "pid", "process-start", "expires-at", "version", "application-id", "job", "base-version"]


@given(
    st.binary() | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)).map(lambda x: json.dumps(x).encode())
)
def test_what_is_no_lease_is_none(text: bytes) -> None:
    assert parse_lease(text) is None


@pytest.mark.parametrize("kind", ["reader", "application", "writer", "temporary"])
@pytest.mark.parametrize("host", ["here", "there"])
@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize("running", [True, False, None])
def test_when_a_lease_is_live(kind: str, host: str, expired: bool, running: bool | None) -> None:
    lease = Lease(kind, host, 7, "1", NOW - HOUR if expired else NOW + HOUR, 1, "app")  # type: ignore[arg-type]
    asked: list[tuple[int, str | None]] = []

    def answer(pid: int, start: str | None) -> bool | None:
        asked.append((pid, start))
        return running

    live = lease.is_live(NOW, "here", answer)
    if host == "there":
        assert live is not expired
        assert asked == []
    elif running is False:
        assert not live
    elif running and kind in ("reader", "temporary"):
        assert live
    else:
        assert live is not expired


def test_processes() -> None:
    own = process_start(os.getpid())
    assert own is not None
    assert is_running(os.getpid(), own) is True
    assert is_running(os.getpid(), "1") is False
    assert is_running(os.getpid(), None) is None
    assert is_running(gone_pid(), "1") is False
    assert is_running(2**40, "1") is False
    child = python("pass")
    child.stdin.close()  # type: ignore[union-attr]
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_running(child.pid, None) is False  # it has ended, and nobody has waited for it
    assert process_start(child.pid) is not None
    child.wait()
    child.stdout.close()  # type: ignore[union-attr]


def test_an_epoch_holds_a_lease_and_gives_it_back(dataset: Path) -> None:
    loaded = dlcache.load(dataset)
    assert leases(dataset) == []
    epoch = iter(loaded.numpy(10))
    assert leases(dataset) == []
    next(epoch)
    (path,) = leases(dataset)
    lease = parse_lease(path.read_bytes())
    assert lease is not None
    assert (lease.kind, lease.pid, lease.version, lease.host) == ("reader", os.getpid(), 1, this_host())
    assert lease.is_live(datetime.now(timezone.utc), this_host(), is_running)
    other = iter(loaded.numpy(10))
    next(other)
    assert leases(dataset) == [path]  # one for the process
    list(other)
    assert leases(dataset) == [path]
    epoch.close()  # type: ignore[attr-defined]
    assert leases(dataset) == []


def test_a_block_holds_a_lease(dataset: Path) -> None:
    with dlcache.load(dataset) as loaded:
        assert len(leases(dataset)) == 1
        list(loaded.numpy(10))
        assert len(leases(dataset)) == 1
    assert leases(dataset) == []
    with pytest.raises(RuntimeError, match="boom"), dlcache.load(dataset):
        raise RuntimeError("boom")
    assert leases(dataset) == []


def test_random_access_holds_a_lease_as_long_as_the_dataset_lives(dataset: Path) -> None:
    loaded = dlcache.load(dataset)
    loaded.gather([3, 1])
    part = loaded.split({"a": 0.5, "b": 0.5})["a"]
    part.gather([0])
    assert len(leases(dataset)) == 1
    del loaded
    assert len(leases(dataset)) == 1
    del part
    assert leases(dataset) == []


def test_the_directory_of_leases_goes_with_the_last_of_them(dataset: Path) -> None:
    directory = dataset / "_dlcache" / "leases"
    first, second = dlcache.load(dataset), dlcache.load(dataset)
    first.gather([1])
    second.gather([1])
    foreign = directory / "mine.txt"
    foreign.touch()
    first.close()
    second.close()
    assert [path.name for path in directory.iterdir()] == ["mine.txt"]
    foreign.unlink()
    with dlcache.load(dataset):
        assert len(leases(dataset)) == 1
    assert not directory.exists()


def test_leases_come_and_go_at_once(dataset: Path) -> None:
    """Each process removes the directory when it finds it empty; none may find that its own lease cannot be written."""
    code = """
    import sys, dlcache
    from dlcache._files import Files
    from dlcache._reading import ReaderLease
    sys.stdin.readline()
    store = dlcache.load(sys.argv[1]).store
    for _ in range(300):
        with ReaderLease(store, 1) as lease:
            assert Files(store).has(lease.path)
    print("done")
    """
    processes = [python(code, str(dataset)) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        with process:
            assert process.stdout is not None
            assert process.stdout.read() == "done\n"
    assert not (dataset / "_dlcache" / "leases").exists()


def test_gc_removes_the_directory_with_the_dead_leases(dataset: Path) -> None:
    dead = put_lease(dataset, "reader", live=False, version=1)
    assert dlcache.gc(dataset, dry_run=True).datasets[0].removed[0].path == f"_dlcache/leases/{dead.name}"
    dlcache.gc(dataset)
    assert not dead.parent.exists()
    assert len(dlcache.load(dataset)) == 100


def test_a_dataset_has_one_lease_whatever_it_is_called(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(tmp_path / "elsewhere" / "train", pa.table({"x": np.arange(5)}))
    link = tmp_path / "link"
    link.symlink_to(dataset)
    monkeypatch.chdir(dataset.parent)
    with dlcache.load("train") as first, dlcache.load(link) as second, dlcache.load(dataset.as_uri()) as third:
        assert first == second == third
        assert len(leases(dataset)) == 1
        monkeypatch.chdir(other.parent)
        with dlcache.load("train") as fourth:  # the same text, and another place
            assert fourth != first
            assert (len(leases(dataset)), len(leases(other))) == (1, 1)
            assert (len(first.gather([1])["x"]), len(fourth.gather([1])["x"])) == (1, 1)
        assert (len(leases(dataset)), len(leases(other))) == (1, 0)
        link.unlink()
        link.symlink_to(other)
        assert len(list(second.numpy(10))) == 10  # a link that is changed changes no dataset that was loaded
    assert leases(dataset) == []


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ctrl-C comes right after this method of Files has done its work."""
    method = getattr(Files, name)

    def interrupted(*arguments: object) -> None:
        method(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Files, name, interrupted)


@pytest.mark.parametrize("name", ["put", "has"])
def test_a_ctrl_c_while_a_lease_is_opened_leaves_none(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    loaded = dlcache.load(dataset)
    with monkeypatch.context() as patch:
        _interrupt_after(patch, name)
        with pytest.raises(KeyboardInterrupt):
            loaded.gather([1])
    assert leases(dataset) == []
    assert not _reading.own_leases(loaded.store)
    loaded.gather([1])
    assert len(leases(dataset)) == 1
    loaded.close()
    assert leases(dataset) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_worker_processes_leave_no_lease(dataset: Path, method: str) -> None:
    loaded = dlcache.load(dataset)
    worker = multiprocessing.get_context(method).Process(target=loaded.gather, args=([3, 1],))  # type: ignore[attr-defined]
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert not (dataset / "_dlcache" / "leases").exists()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_of_a_map_style_dataset_leave_no_lease(dataset: Path, method: str) -> None:
    data = pytest.importorskip("torch.utils.data")
    adapter = pytest.importorskip("dlcache.torch")
    rows = adapter.TorchDataset(dlcache.load(dataset))
    loader = data.DataLoader(rows, 10, num_workers=2, collate_fn=rows.collate, multiprocessing_context=method)
    for _ in range(2):
        assert sum(len(batch["x"]) for batch in loader) == 100
        assert leases(dataset) == []


def test_a_lease_is_renewed_now_and_then(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("dlcache._reading.time.monotonic", lambda: now[0])
    with dlcache.load(dataset).lease() as lease:
        (path,) = leases(dataset)
        assert path.name == str(lease.path).rpartition("/")[2]
        path.write_bytes(b"")
        lease.touch()
        assert path.read_bytes() == b""
        now[0] += _reading.READER_SECONDS / 3
        lease.touch()
        assert parse_lease(path.read_bytes()) is not None


def test_where_a_file_cannot_be_replaced_whole_a_renewed_lease_is_a_new_one(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("dlcache._reading.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Files, "replaces_whole", property(lambda self: False))
    with dlcache.load(dataset).lease() as lease:
        (first,) = leases(dataset)
        now[0] += _reading.READER_SECONDS / 3
        lease.touch()
        (second,) = leases(dataset)
        assert first != second
        assert second.name == str(lease.path).rpartition("/")[2]
        assert parse_lease(second.read_bytes()) is not None
    assert leases(dataset) == []


def test_reading_needs_no_lease(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Files, "put", refuse)
    assert sum(len(batch["x"]) for batch in dlcache.load(dataset).numpy(10)) == 100
    assert leases(dataset) == []


def test_what_was_deleted_after_it_was_loaded_is_no_dataset(dataset: Path) -> None:
    loaded = dlcache.load(dataset)
    dlcache.load(dataset).delete()
    with pytest.raises(dlcache.NotADatasetError):
        next(iter(loaded.numpy(10)))
    write(dataset, pa.table({"x": [1]}), append=False)
    (dataset / "_dlcache" / f"{1:020d}.json").rename(dataset / "_dlcache" / f"{2:020d}.json")
    with pytest.raises(dlcache.NotADatasetError, match="was deleted after it was loaded"):
        loaded.gather([0])
    assert leases(dataset) == []


def test_a_live_reader_is_in_the_way(dataset: Path, reader: subprocess.Popen[str]) -> None:
    loaded = dlcache.load(dataset)
    with pytest.raises(dlcache.InUseError, match=f"in use by reader with pid {reader.pid} .*force=True"):
        loaded.delete()
    assert len(list(loaded.numpy(10))) == 10
    report = loaded.delete(force=True)
    assert report.deleted
    assert not dataset.exists()


def test_a_killed_reader_is_in_nobodys_way(dataset: Path, reader: subprocess.Popen[str]) -> None:
    reader.kill()
    reader.wait()
    assert len(leases(dataset)) == 1
    assert dlcache.gc(dataset).datasets[0].removed[0].reason.startswith("a lease whose holder is gone: reader")
    assert leases(dataset) == []
    dlcache.load(dataset).delete()
    assert not dataset.exists()


def test_a_reader_gives_its_lease_back_at_exit(dataset: Path) -> None:
    code = """
    import os, sys, dlcache
    it = dlcache.load(sys.argv[1])
    it.hold()
    print(len(os.listdir(it.path + "/_dlcache/leases")))
    """
    with python(code, str(dataset)) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "1\n"
    assert process.returncode == 0
    assert not (dataset / "_dlcache" / "leases").exists()


def test_a_fork_has_its_own_lease_and_leaves_its_parents(dataset: Path) -> None:
    code = """
    import glob, os, sys, dlcache
    loaded = dlcache.load(sys.argv[1])
    def leases(): return set(glob.glob(sys.argv[1] + "/_dlcache/leases/*.json"))
    with loaded:
        (own,) = leases()
        child = os.fork()
        if not child:
            loaded.close()  # the parent's: nothing happens
            assert leases() == {own}
            loaded.gather([1])
            assert len(leases()) == 2
            loaded.close()
            assert leases() == {own}
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert leases() == {own}
    assert not leases()
    print("ok")
    """
    with python(code, str(dataset)) as process:
        assert process.communicate()[0] == "ok\n"
