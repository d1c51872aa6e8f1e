"""Deletion of datasets: all of theirs, nothing else's; temporary datasets; and the same on a remote store."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _roots import ago, lease, put, shard_name, tree
from _writer import write
from test_leases import leases, python

import dlcache
from dlcache._files import Files
from dlcache._leases import Lease, parse_lease, utc, write_lease
from dlcache._root import root_of
from dlcache._temporary import TEMPORARY


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = pa.table({"x": np.arange(50)})
    now: dict[str, Any] = {"created-at": utc(ago(60))}
    path = write(tmp_path / "train", rows, shard_rows=20, row_group_rows=10, **now)
    return write(path, rows, append=True, **now)


def test_delete_takes_all_versions_and_the_directory(dataset: Path) -> None:
    job = "aaaaaaaa-2222-3333-4444-555555555555"
    lease(dataset, "writer", live=False, job=job)
    for extra in (shard_name(job), "_dlcache/.11111111-2222-3333-4444-555555555555.tmp"):
        put(dataset / extra)
    lease(dataset, "application", live=True, application_id="app-1")
    files = [name for name, data in tree(dataset).items() if data is not None]
    report = dlcache.load(dataset).delete()
    assert sorted(removal.path for removal in report.removed) == sorted(files)
    assert report.deleted
    assert not dataset.exists()


def test_delete_leaves_what_is_not_dlcaches(dataset: Path) -> None:
    mine = ["README.md", "data/part-0.parquet", "data/sub/x.parquet", "_dlcache/notes.txt", "extra/data.bin"]
    for name in mine:
        put(dataset / name, b"mine")
    with pytest.warns(UserWarning, match=r"README.md.*_dlcache/notes.txt.*data/part-0.parquet"):
        dlcache.load(dataset).delete()
    assert sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file()) == sorted(mine)


def test_delete_refuses_what_is_no_dataset(tmp_path: Path) -> None:
    put(tmp_path / "photos" / "data" / shard_name(), b"not ours")
    before = tree(tmp_path)
    for name in ("photos", "nowhere"):
        with pytest.raises(dlcache.NotADatasetError, match="nothing was deleted"):
            dlcache._lifecycle.delete(Files.of(tmp_path / name), force=True)
    assert tree(tmp_path) == before


def test_delete_again_is_an_error(dataset: Path) -> None:
    loaded = dlcache.load(dataset)
    loaded.delete()
    with pytest.raises(dlcache.NotADatasetError):
        loaded.delete()


def test_delete_waits_for_this_process_too(dataset: Path) -> None:
    loaded = dlcache.load(dataset)
    epoch = iter(loaded.numpy(10))
    next(epoch)
    with pytest.raises(dlcache.InUseError, match=f"pid {os.getpid()}"):
        loaded.delete()
    del epoch
    loaded.delete()
    assert not dataset.exists()


def test_a_dataset_with_a_damaged_manifest_can_be_deleted(dataset: Path) -> None:
    put(dataset / "_dlcache" / f"{3:020d}.json", b"{")
    assert dlcache._lifecycle.delete(Files.of(dataset)).deleted
    assert not dataset.exists()


def test_a_temporary_dataset_ends_with_its_block(dataset: Path) -> None:
    with dlcache.load(dataset).temporary() as train:
        assert len(list(train.numpy(10))) == 10
    assert not dataset.exists()


def test_a_temporary_dataset_ends_with_its_block_also_after_an_error(dataset: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), dlcache.load(dataset).temporary() as train:
        for _ in train.numpy(10):
            raise RuntimeError("boom")
    assert not dataset.exists()


def test_a_temporary_dataset_ends_with_its_process_and_not_with_a_fork(dataset: Path) -> None:
    code = """
    import os, sys, dlcache
    train = dlcache.load(sys.argv[1]).temporary()
    train.hold()
    if not os.fork():
        sys.exit(0)
    os.wait()
    print(os.path.exists(sys.argv[1]))
    """
    with python(code, str(dataset)) as process:
        assert process.communicate()[0] == "True\n"
    assert not dataset.exists()


def test_a_temporary_dataset_that_others_read_stays(dataset: Path) -> None:
    other = lease(dataset, "reader", live=True, version=2)
    with pytest.warns(UserWarning, match="stays until.*in use by reader"), dlcache.load(dataset).temporary():
        pass
    assert other in leases(dataset)
    other.unlink()
    TEMPORARY.finish()  # as at the end of the process
    assert not dataset.exists()


def test_the_end_of_a_temporary_dataset_hides_no_error(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Warnings are errors in these tests, which must not take the place of the user's own error."""
    lease(dataset, "reader", live=True, version=2)
    with pytest.raises(ZeroDivisionError), dlcache.load(dataset).temporary():
        _ = 1 / 0
    assert "in use by reader" in caplog.text
    TEMPORARY.remove(dlcache.load(dataset).store)


def test_a_temporary_dataset_that_was_deleted_in_its_block_ends_quietly(dataset: Path) -> None:
    with dlcache.load(dataset).temporary() as train:
        train.delete()
    assert not dataset.exists()


TEMPORARY_READER = """
import sys, dlcache
train = dlcache.load(sys.argv[1]).temporary()
train.gather([0])
print("there", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_temporary_dataset_goes_with_a_process_that_is_terminated(dataset: Path, end: signal.Signals) -> None:
    with python(TEMPORARY_READER, str(dataset)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(end)
        assert process.wait() == -end
    assert not dataset.exists()


def test_gc_deletes_the_temporary_dataset_of_a_killed_process_and_no_other(dataset: Path) -> None:
    with python(TEMPORARY_READER, str(dataset)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        assert not dlcache.gc(dataset).datasets[0].removed
        process.kill()
        process.wait()
        copy = shutil.copytree(dataset, dataset.parent / "copy")
        write(copy, pa.table({"x": np.arange(5)}), append=True)
        read = shutil.copytree(dataset, dataset.parent / "read")
        lease(read, "reader", live=True, version=2)
    assert dlcache.gc(dataset, dry_run=True).datasets[0].deleted
    (report,) = dlcache.gc(dataset).datasets
    assert report.removed[0].reason.startswith("temporary, and its process has ended: temporary with pid")
    assert not dataset.exists()
    assert not dlcache.gc(copy).datasets[0].deleted  # somebody has appended to it
    assert len(dlcache.load(copy)) > 5
    (kept,) = dlcache.gc(read).datasets
    assert "in use by reader" in kept.kept[0].reason
    next((read / "_dlcache" / "leases").glob("*")).unlink()
    for path in leases(read):
        assert parse_lease(path.read_bytes()) is not None


def test_a_temporary_dataset_of_which_somebody_made_another_version_stays(dataset: Path) -> None:
    code = """
    import sys, dlcache
    train = dlcache.load(sys.argv[1]).temporary()
    print("there", flush=True)
    sys.stdin.readline()
    """
    with python(code, str(dataset)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        write(dataset, pa.table({"x": np.arange(5)}), append=True)
        process.communicate("\n")
    assert process.returncode == 0
    assert dlcache.load(dataset).version == 3
    assert leases(dataset) == []


def test_the_last_of_the_processes_that_share_a_temporary_dataset_deletes_it(dataset: Path) -> None:
    dlcache.load(dataset).temporary()
    with python("import sys, dlcache; dlcache.load(sys.argv[1]).temporary()", str(dataset)) as process:
        process.communicate()
    assert process.returncode == 0
    assert dataset.exists()
    TEMPORARY.finish()
    assert not dataset.exists()


def test_gc_goes_on_when_a_dataset_cannot_be_read(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = write(dataset.parent / "other", pa.table({"x": np.arange(5)}))
    listing = Files.listing

    def refuse(self: Files, folder: str) -> Any:
        if self.path == str(other):
            raise dlcache.StorageError(f"cannot list {self.path}: no permission")
        return listing(self, folder)

    monkeypatch.setattr(Files, "listing", refuse)
    report = dlcache.gc(dataset.parent)
    assert sorted(each.path for each in report.datasets) == sorted([str(dataset), str(other)])
    assert report.problems == (f"cannot list {other}: no permission",)
    with pytest.raises(dlcache.StorageError):
        dlcache.gc(other)


@pytest.fixture
def remote(dataset: Path) -> Iterator[str]:
    """The dataset in memory, behind fsspec, as object stores are."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(dataset), "/bucket/train", recursive=True)
    yield "memory://bucket/train"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_a_remote_dataset_is_leased_and_deleted(remote: str) -> None:
    loaded = dlcache.load(remote)
    assert loaded.verify(pages=True)
    with loaded:
        (held,) = Files.of(remote).listing("_dlcache/leases")
        assert held.kind == "file"
        assert held.modified < float("inf")
        assert sum(len(batch["x"]) for batch in loaded.numpy(10)) == 100
        with pytest.raises(dlcache.InUseError):
            dlcache._lifecycle.delete(Files.of(remote))
    assert Files.of(remote).listing("_dlcache/leases") == []
    loaded.delete()
    assert [entry for entry in Files.of(remote).entries() if entry.kind == "file"] == []
    with pytest.raises(dlcache.NotADatasetError):
        dlcache.load(remote)


def test_what_comes_into_a_remote_dataset_while_it_is_deleted_stays(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no directories: what is deleted is deleted by its name."""
    import fsspec

    memory = fsspec.filesystem("memory")
    mine = [f"/bucket/train/{shard_name()}", "/bucket/train/_dlcache/leases/mine.json"]
    remove = Files.remove

    def come(files: Files, path: str) -> None:
        for new in mine:
            memory.pipe(new, b"new")
        remove(files, path)

    monkeypatch.setattr(Files, "remove", come)
    dlcache._lifecycle.delete(Files.of(remote))
    assert sorted(memory.find("/bucket")) == sorted(mine)


def test_remote_garbage_goes(remote: str) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    job = "aaaaaaaa-2222-3333-4444-555555555555"
    orphan = f"/bucket/train/{shard_name(job)}"
    memory.pipe(orphan, b"half")
    text = write_lease(Lease("writer", "elsewhere", 1, None, ago(60), job=job))
    memory.pipe(f"/bucket/train/_dlcache/leases/{job}.json", text)
    memory.pipe("/bucket/foreign/a.txt", b"mine")
    assert dlcache.gc("memory://bucket").bytes == 0
    report = dlcache.gc("memory://bucket", grace=0)
    assert report.bytes == 4 + len(text)
    assert [path.rpartition("/")[2] for path in report.skipped] == ["foreign"]
    assert not memory.exists(orphan)
    assert dlcache.verify(remote)
    assert dlcache.gc("memory://bucket", retention=0).datasets[0].removed[0].path == f"_dlcache/{1:020d}.json"
    assert dlcache.verify(remote)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "/home/me/.cache/dlcache"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/dlcache"),
        ({"XDG_CACHE_HOME": "/caches", "DLCACHE_ROOT": "s3://b/r"}, "s3://b/r"),
        ({"XDG_CACHE_HOME": " ", "DLCACHE_ROOT": ""}, "/home/me/.cache/dlcache"),
    ],
)
def test_the_root(environment: dict[str, str], expected: str) -> None:
    assert root_of(environment, "/home/me") == expected
