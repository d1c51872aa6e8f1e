"""Garbage collection names exactly what may go, goes on wherever it was stopped, and touches nothing else."""

from __future__ import annotations

import json
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _roots import DIGEST, OLD, YOUNG, ago, lease, publish, put, shard_name, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcache._errors import NotADatasetError, OptionError
from dlcache._files import Files
from dlcache._gc import plan_gc, steps
from dlcache._gc_model import Policy
from dlcache._lifecycle import execute, gc, snapshot


@dataclass
class Made:
    """A directory that a test made. stays: files that must be there after `gc`; goes: files that must not."""

    path: Path
    stays: set[Path] = field(default_factory=set)
    goes: set[Path] = field(default_factory=set)


AGES = st.sampled_from([OLD, YOUNG])


@st.composite
def datasets(draw: st.DrawFn, root: Path, number: int) -> Made:
    """A dataset in some state, and what should become of each of its files, by the rules of docs/lifecycle.md."""
    session = draw(st.booleans())
    chosen_path = draw(st.booleans())
    digest = f"{number:064x}"
    made = Made(root / (f"train-{number}" if chosen_path else digest))
    application = (
        draw(st.sampled_from(["live", "dead", "dead elsewhere", "live elsewhere", "none"])) if session else "none"
    )
    ttl = draw(st.sampled_from([None, 60, 10**6]))
    ages = sorted(draw(st.lists(AGES, min_size=1, max_size=3)), reverse=True)
    readers = {
        version: draw(st.sampled_from(["none", "live", "dead", "live elsewhere", "dead elsewhere"]))
        for version in range(1, len(ages) + 1)
    }
    writer = draw(st.booleans())

    shards: list[str] = []
    manifests: dict[int, Path] = {}
    named: dict[int, set[Path]] = {}
    key = (
        {"scope": "session", "digest": digest, "application-id": "app-1"}
        if session
        else {"scope": "durable", "digest": digest}
    )
    for version, age in enumerate(ages, 1):
        shards = [shard_name() for _ in range(draw(st.integers(0, 2)))] + (shards if draw(st.booleans()) else [])
        more = {} if ttl is None else {"ttl-seconds": ttl}
        manifests[version] = publish(made.path, version, shards, age, **{"plan-key": key, **more})
        named[version] = {made.path / shard for shard in shards}

    leases: dict[Path, str] = {}
    for version, state in readers.items():
        if state != "none":
            at = lease(made.path, "reader", live="live" in state, here="else" not in state, version=version)
            leases[at] = state
    if application != "none":
        at = lease(
            made.path, "application", live="live" in application, here="else" not in application, application_id="app-1"
        )
        leases[at] = "application"
    if writer:
        leases[lease(made.path, "writer", live=True)] = "live"

    in_use = writer or any("live" in state for state in readers.values())
    expired = ttl is not None and ages[-1] > ttl
    unknown = application == "none" and ages[-1] == YOUNG
    ended = session and not chosen_path and not unknown and "live" not in application
    whole = (expired or ended) and not in_use
    for version in manifests:
        superseded = version < len(ages) and ages[version] == OLD and "live" not in readers[version]
        bucket = made.goes if whole or superseded else made.stays
        bucket |= {manifests[version], *named[version]}
    made.goes -= made.stays
    for at, state in leases.items():
        dead = state.startswith("dead") or (state == "application" and "live" not in application and not session)
        (made.goes if whole or dead else made.stays).add(at)

    lost = False
    for age in draw(st.lists(AGES, max_size=2)):
        orphan = put(made.path / shard_name(), b"half", age)
        (made.goes if whole or (age == OLD and not writer and not lost) else made.stays).add(orphan)
    for age in draw(st.lists(AGES, max_size=2)):
        temporary = put(made.path / "_dlcache" / f".{uuid.uuid4()}.tmp", b"{", age)
        (made.goes if whole or age == OLD else made.stays).add(temporary)
    for name in draw(st.lists(st.sampled_from(["data/mine.parquet", "notes.txt", "_dlcache/x.json", "more/deep.txt"]))):
        made.stays.add(put(made.path / name, b"foreign", OLD))
    return made


@st.composite
def foreign(draw: st.DrawFn, root: Path, number: int) -> Made:
    """Something in a root that is not a dataset."""
    made = Made(root / f"foreign-{number}")
    names = ["a.txt", "data/part-0.parquet", shard_name(), "deep/er/b.bin", "_dlcache/readme.md"]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
        made.stays.add(put(made.path / name, b"foreign", OLD))
    return made


@st.composite
def roots(draw: st.DrawFn, root: Path) -> list[Made]:
    return [
        *(draw(datasets(root, number)) for number in range(draw(st.integers(0, 3)))),
        *(draw(foreign(root, number)) for number in range(draw(st.integers(0, 2)))),
    ]


FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(st.data())
def test_exactly_the_right_files_go(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        made = data.draw(roots(root))
        stays, goes = set().union(*(m.stays for m in made)), set().union(*(m.goes for m in made))
        before = tree(root)

        planned = gc(root, dry_run=True)
        assert tree(root) == before
        done = gc(root)
        assert planned.datasets == done.datasets
        assert planned.skipped == done.skipped == tuple(sorted(str(m.path) for m in made if "foreign" in m.path.name))

        named = {Path(dataset.path) / removal.path for dataset in done.datasets for removal in dataset.removed}
        assert named == goes
        assert {path for path in root.rglob("*") if path.is_file()} == stays
        assert done.bytes == sum(len(before[str(path.relative_to(root))] or b"") for path in goes)
        assert gc(root).bytes == 0


@FEW
@given(st.data())
def test_it_can_stop_anywhere_and_go_on(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        made = data.draw(datasets(root, 0))
        files, now = Files.of(made.path), ago(0)
        plan = plan_gc(snapshot(files, now), now, Policy())
        whole = len(steps(plan, str(uuid.uuid4()), force=False))
        execute(files, plan, force=False, limit=data.draw(st.integers(0, whole)))

        current = snapshot(files, now).versions[-1:]
        for version in current:
            if not plan.whole or version.number == plan.known[-1]:
                assert all((made.path / shard).is_file() for shard in version.shards)
        assert all(path.is_file() for path in made.stays)

        gc(root)
        assert {path for path in root.rglob("*") if path.is_file()} == made.stays
        if not made.stays:
            gc(root, grace=0)
            assert not made.path.exists() or not list(made.path.iterdir())


def test_a_half_deleted_dataset_is_no_dataset_and_is_finished(tmp_path: Path) -> None:
    dataset = tmp_path / DIGEST
    publish(dataset, 1, [shard_name(), shard_name()], OLD, **{"ttl-seconds": 1})
    files, now = Files.of(dataset), ago(0)
    plan = plan_gc(snapshot(files, now), now, Policy())
    execute(files, plan, force=False, limit=3)  # the record, the manifest, the look for newcomers
    assert not list(dataset.glob("_dlcache/0*.json"))
    assert len(list(dataset.glob("data/*.parquet"))) == 2
    report = gc(tmp_path)
    assert not dataset.exists()
    assert {removal.reason for removal in report.datasets[0].removed} == {"left by a deletion that did not finish"}


def test_a_dataset_made_anew_over_a_half_deleted_one_stays(tmp_path: Path) -> None:
    dataset = tmp_path / DIGEST
    old = shard_name()
    publish(dataset, 1, [old], OLD, **{"ttl-seconds": 1})
    files, now = Files.of(dataset), ago(0)
    execute(files, plan_gc(snapshot(files, now), now, Policy()), force=False, limit=2)
    new = shard_name()
    publish(dataset, 1, [new])
    gc(tmp_path)
    assert (dataset / new).exists()
    assert not (dataset / old).exists()
    assert len(snapshot(files, now).versions) == 1


def test_a_reader_that_comes_meanwhile_keeps_its_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = shard_name()
    dataset = tmp_path / DIGEST
    publish(dataset, 1, [shard], OLD, **{"ttl-seconds": 1})
    taken: list[Path] = []
    put_record = Files.put

    def come(files: Files, path: str, data: bytes, temporary: str) -> None:
        put_record(files, path, data, temporary)
        taken.append(lease(dataset, "reader", live=True, version=1))

    monkeypatch.setattr(Files, "put", come)
    report = gc(tmp_path).datasets[0]
    assert report.deferred is not None
    assert not report.deleted
    assert [removal.path for removal in report.removed] == ["_dlcache/00000000000000000001.json"]
    assert (dataset / shard).exists()
    monkeypatch.undo()

    assert gc(tmp_path).datasets[0].kept[0].reason.startswith("deleted, but still in use by reader")
    assert (dataset / shard).exists()
    taken[0].unlink()
    gc(tmp_path)
    assert not dataset.exists()


def test_a_version_that_is_published_meanwhile_keeps_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shard_name()
    dataset = tmp_path / DIGEST
    publish(dataset, 1, [shard], OLD, **{"ttl-seconds": 1})
    put_record = Files.put

    def come(files: Files, path: str, data: bytes, temporary: str) -> None:
        put_record(files, path, data, temporary)
        publish(dataset, 2, [shard])

    monkeypatch.setattr(Files, "put", come)
    assert "new version" in str(gc(tmp_path).datasets[0].deferred)
    monkeypatch.undo()
    gc(tmp_path, grace=0)
    assert (dataset / shard).exists()
    assert not list(dataset.glob("_dlcache/deleted-*"))


def test_nothing_of_a_damaged_dataset_goes(tmp_path: Path) -> None:
    dataset = tmp_path / DIGEST
    publish(dataset, 1, [shard_name()], OLD, **{"ttl-seconds": 1})
    put(dataset / "_dlcache" / f"{2:020d}.json", b"{", OLD)
    put(dataset / shard_name(), b"", OLD)
    before = tree(tmp_path)
    report = gc(tmp_path)
    assert tree(tmp_path) == before
    assert report.bytes == 0
    assert "00000000000000000002.json" in report.problems[0]


def test_a_reader_of_a_version_whose_manifest_is_gone_keeps_all_unnamed_shards(tmp_path: Path) -> None:
    dataset = tmp_path / DIGEST
    publish(dataset, 2, [shard_name()], OLD)
    orphan = put(dataset / shard_name(), b"", OLD)
    at = lease(dataset, "reader", live=True, version=1)
    gc(tmp_path)
    assert orphan.exists()
    at.unlink()
    gc(tmp_path)
    assert not orphan.exists()


def test_what_a_failed_first_write_left_goes_with_its_dead_lease(tmp_path: Path) -> None:
    dataset = tmp_path / DIGEST
    old, young = put(dataset / shard_name(), b"", OLD), put(dataset / shard_name(), b"", YOUNG)
    lease(dataset, "writer", live=False)
    gc(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)
    gc(tmp_path, grace=0)
    assert not dataset.exists()


@pytest.mark.parametrize("force", [False, True])
def test_force_takes_files_from_live_readers(tmp_path: Path, force: bool) -> None:
    dataset = tmp_path / "train"
    publish(dataset, 1, [shard_name()], OLD)
    publish(dataset, 2, [shard_name()], OLD, **{"ttl-seconds": 1})
    lease(dataset, "reader", live=True, version=1)
    report = gc(tmp_path, force=force).datasets[0]
    assert dataset.exists() is not force
    if not force:
        assert [(k.path, "in use by reader" in k.reason) for k in report.kept] == [("", True), ("version 1", True)]


def test_a_dataset_by_itself_and_a_root_of_none(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    publish(dataset, 1, [], OLD, **{"ttl-seconds": 1})
    (tmp_path / "empty").mkdir()
    assert gc(tmp_path / "empty").datasets == ()
    assert gc(dataset).datasets[0].deleted
    assert not dataset.exists()
    with pytest.raises(NotADatasetError, match="no directory"):
        gc(dataset)


def test_links_are_never_followed(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    root.mkdir()
    publish(elsewhere, 1, [shard_name()], OLD, **{"ttl-seconds": 1})
    (root / DIGEST).symlink_to(elsewhere)
    dataset = root / "train"
    publish(dataset, 1, [], OLD, **{"ttl-seconds": 1})
    (dataset / "data").rmdir() if (dataset / "data").exists() else None
    (dataset / "data").symlink_to(elsewhere / "data")
    before = tree(elsewhere)
    report = gc(root)
    assert tree(elsewhere) == before
    assert report.skipped == (str(root / DIGEST),)
    assert report.datasets[0].foreign == ("data",)
    assert [path.name for path in dataset.iterdir()] == ["data"]


def test_checksum_files_go_with_their_files(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    named, unnamed = shard_name(), shard_name()
    publish(dataset, 1, [named], OLD)
    put(dataset / unnamed, b"", OLD)
    for shard in (named, unnamed):
        put((dataset / shard).with_name(f".{Path(shard).name}.crc"), b"", OLD)
    gc(tmp_path)
    assert sorted(path.name for path in (dataset / "data").iterdir()) == sorted(
        [Path(named).name, f".{Path(named).name}.crc"]
    )


def test_records_name_only_what_is_there(tmp_path: Path) -> None:
    """A record that names a file outside, or a foreign one, deletes nothing but what the listing has in `data/`."""
    secret = put(tmp_path / "secret.txt")
    dataset = tmp_path / "root" / "train"
    kept = shard_name()
    publish(dataset, 1, [kept], OLD)
    record = {"versions": [7], "shards": ["../../secret.txt", str(secret), kept]}
    put(dataset / "_dlcache" / f"deleted-{uuid.uuid4()}.json", json.dumps(record).encode(), OLD)
    gc(tmp_path / "root")
    assert secret.exists()
    assert (dataset / kept).exists()
    assert not list(dataset.glob("_dlcache/deleted-*"))


def test_times_must_not_be_negative(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="grace is -1"):
        gc(tmp_path, grace=-1)
