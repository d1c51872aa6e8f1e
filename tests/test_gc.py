"""Garbage collection names exactly what may go, goes on wherever it was stopped, and touches nothing else."""

from __future__ import annotations

import json
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from _roots import DIGEST, OLD, YOUNG, ago, gone_pid, lease, publish, put, shard_name, spark_name, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import _lifecycle
from dlcache._errors import InUseError, NotADatasetError, OptionError
from dlcache._files import Files
from dlcache._gc import plan_deletion, plan_gc, steps
from dlcache._gc_model import Plan, Policy
from dlcache._layout import job_of
from dlcache._leases import Lease, utc
from dlcache._lifecycle import execute, gc, snapshot
from dlcache._processes import this_host


@dataclass
class Made:
    """A directory that a test made. stays: files that must be there after `gc`; goes: files that must not."""

    path: Path
    stays: set[Path] = field(default_factory=set)
    goes: set[Path] = field(default_factory=set)


AGES = st.sampled_from([OLD, YOUNG])


@st.composite
def datasets(draw: st.DrawFn, root: Path, number: int, writers: bool = True) -> Made:
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
    writer = draw(st.sampled_from([None, "that has not looked", "of the next version"] if writers else [None]))

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
    jobs = {kind: str(uuid.uuid4()) for kind in ("live", "dead", "unknown")}
    if writer:
        base = None if writer == "that has not looked" else len(ages)
        leases[lease(made.path, "writer", live=True, job=jobs["live"], base_version=base)] = "live"
    failed = lease(made.path, "writer", live=False, job=jobs["dead"])

    in_use = writer is not None or any("live" in state for state in readers.values())
    expired = ttl is not None and ages[-1] > ttl
    unknown = application == "none" and ages[-1] == YOUNG
    ended = session and not chosen_path and not unknown and "live" not in application
    whole = (expired or ended) and not in_use
    for version in manifests:
        superseded = version < len(ages) and ages[version] == OLD and "live" not in readers[version]
        superseded &= writer != "that has not looked"
        bucket = made.goes if whole or superseded else made.stays
        bucket |= {manifests[version], *named[version]}
    made.goes -= made.stays
    for at, state in leases.items():
        dead = state.startswith("dead") or (state == "application" and "live" not in application and not session)
        (made.goes if whole or dead else made.stays).add(at)

    if any(named.values()):
        jobs["named"] = job_of(str(sorted(set().union(*named.values()))[0].relative_to(made.path))) or ""
    left = False
    for kind, age in draw(st.lists(st.tuples(st.sampled_from(sorted(jobs)), AGES), max_size=3)):
        orphan = put(made.path / shard_name(jobs[kind]), b"half", age)
        attributed = kind in ("dead", "named")
        goes = attributed and (whole or age == OLD)
        (made.goes if goes else made.stays).add(orphan)
        left |= kind == "dead" and not goes
    (made.stays if left else made.goes).add(failed)
    for age in draw(st.lists(AGES, max_size=2)):
        temporary = put(made.path / "_dlcache" / f".{uuid.uuid4()}.tmp", b"{", age)
        (made.goes if whole or (age == OLD and writer is None) else made.stays).add(temporary)
    made.stays |= {put(made.path / spark_name(), b"foreign", OLD) for _ in range(draw(st.integers(0, 1)))}
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


KILLED = Lease("writer", this_host(), gone_pid(), "1", ago(-3600))


def killed(files: Files, plan: Plan, steps: int) -> None:
    """What a process that is killed after some steps of a plan leaves."""
    with mock.patch.object(_lifecycle, "_deleter", lambda: KILLED):
        execute(files, plan, force=False, limit=steps)


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
        # What an interrupted deletion left stays while anybody writes.
        made = data.draw(datasets(root, 0, writers=False))
        files, now = Files.of(made.path), ago(0)
        plan = plan_gc(snapshot(files, now), now, Policy())
        whole = len(steps(plan, str(uuid.uuid4()), KILLED, force=False))
        killed(files, plan, data.draw(st.integers(0, whole)))

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
    killed(files, plan, 4)  # the record, a look at the leases, the manifest, another look
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
    killed(files, plan_gc(snapshot(files, now), now, Policy()), 3)
    new = shard_name()
    publish(dataset, 1, [new])
    gc(tmp_path)
    assert (dataset / new).exists()
    assert not (dataset / old).exists()
    assert len(snapshot(files, now).versions) == 1


@pytest.mark.parametrize("comes", [1, 2])
def test_a_reader_that_comes_meanwhile_keeps_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: int
) -> None:
    """Before the manifests go it keeps them, too; after that its shards, until it ends."""
    shard = shard_name()
    dataset = tmp_path / DIGEST
    manifest = publish(dataset, 1, [shard], OLD, **{"ttl-seconds": 1})
    taken: list[Path] = []
    acts = {1: "put", 2: "remove"}
    act = getattr(Files, acts[comes])

    def come(files: Files, *arguments: object) -> None:
        act(files, *arguments)
        if not taken:
            taken.append(lease(dataset, "reader", live=True, version=1))

    monkeypatch.setattr(Files, acts[comes], come)
    report = gc(tmp_path).datasets[0]
    assert "has come into use meanwhile by reader" in str(report.deferred)
    assert not report.deleted
    assert [removal.path for removal in report.removed] == ["_dlcache/00000000000000000001.json"] * (comes - 1)
    assert manifest.exists() is (comes == 1)
    assert (dataset / shard).exists()
    monkeypatch.undo()

    reason = gc(tmp_path).datasets[0].kept[0].reason
    assert "in use by reader" in reason
    assert (dataset / shard).exists()
    taken[0].unlink()
    gc(tmp_path)
    assert not dataset.exists()


def test_a_version_that_is_published_meanwhile_keeps_the_dataset(
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


def test_a_dataset_made_anew_in_its_place_is_not_deleted_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tmp_path / DIGEST
    manifest = publish(dataset, 1, [shard_name()], OLD, **{"ttl-seconds": 1})
    put_record = Files.put

    def anew(files: Files, path: str, data: bytes, temporary: str) -> None:
        publish(dataset, 1, [shard_name()])
        put_record(files, path, data, temporary)

    monkeypatch.setattr(Files, "put", anew)
    assert "made anew" in str(gc(tmp_path).datasets[0].deferred)
    assert manifest.exists()


def test_a_lease_that_goes_while_it_is_read_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been renewed under a name that the listing did not have."""
    dataset = tmp_path / DIGEST
    publish(dataset, 1, [shard_name()], OLD, **{"ttl-seconds": 1})
    lease(dataset, "reader", live=True, version=1)
    read = Files.read

    def gone(files: Files, path: str) -> bytes | None:
        return None if "leases" in path else read(files, path)

    monkeypatch.setattr(Files, "read", gone)
    report = gc(tmp_path).datasets[0]
    assert [kept.reason for kept in report.kept] == ["its leases change right now; the next gc looks again"]
    assert report.removed == ()
    with pytest.raises(InUseError, match="changes its lease"):
        _lifecycle.delete(Files.of(dataset))


def test_what_a_deletion_at_work_is_about_to_delete_is_left_to_it(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    old = shard_name()
    publish(dataset, 1, [old], OLD)
    files = Files.of(dataset)
    plan = plan_gc(snapshot(files, ago(0)), ago(0), Policy())
    (dataset / "_dlcache" / f"{1:020d}.json").unlink()
    publish(dataset, 2, [shard_name()])
    execute(files, plan_deletion(snapshot(files, ago(0)), "x"), force=True, limit=1)
    assert plan.removals == ()
    record = next(dataset.glob("_dlcache/deleted-*"))
    text = json.loads(record.read_text())
    record.write_text(json.dumps({**text, "shards": [old], "versions": [1]}))
    assert [kept.reason for kept in gc(tmp_path, grace=0).datasets[0].kept] == ["a deletion that has not ended"]
    assert (dataset / old).exists()
    record.write_text(json.dumps({**text, "shards": [old], "versions": [1], "expires-at": "1970-01-01T00:00:00Z"}))
    gc(tmp_path, grace=0)
    assert not (dataset / old).exists()
    assert not record.exists()


@pytest.mark.parametrize("name", [spark_name(), f"data/00000-0-{uuid.uuid4()}-00001.parquet", shard_name()])
def test_a_file_that_nothing_names_is_never_deleted(tmp_path: Path, name: str) -> None:
    """Names of Spark, of Iceberg, and a shard of which no lease is left."""
    dataset = tmp_path / "train"
    publish(dataset, 1, [shard_name()], OLD)
    theirs = put(dataset / name, b"mine", OLD)
    assert gc(tmp_path, grace=0, retention=0).datasets[0].foreign == (name,)
    with pytest.warns(UserWarning, match=Path(name).name):
        dlcache.load(dataset).delete()
    assert theirs.read_bytes() == b"mine"


def test_shards_with_the_names_of_older_versions_go_when_a_manifest_names_them(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    old, new = spark_name(), spark_name()
    publish(dataset, 1, [old], OLD)
    publish(dataset, 2, [new], OLD)
    gc(tmp_path)
    assert not (dataset / old).exists()
    _lifecycle.delete(Files.of(dataset))
    assert not dataset.exists()


def test_an_empty_data_folder_of_others_stays(tmp_path: Path) -> None:
    (tmp_path / "foo" / "data").mkdir(parents=True)
    assert gc(tmp_path, grace=0).skipped == (str(tmp_path / "foo"),)
    assert (tmp_path / "foo" / "data").is_dir()


def test_a_live_writer_keeps_its_temporary_files(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    publish(dataset, 1, [shard_name()], OLD)
    mine = [put(dataset / "_dlcache" / name, b"{", OLD) for name in (f".{uuid.uuid4()}.tmp", f".{2:020d}.json.claim")]
    at = lease(dataset, "writer", live=True, job=str(uuid.uuid4()), base_version=1)
    gc(tmp_path, grace=0, retention=0)
    assert all(path.exists() for path in mine)
    at.unlink()
    gc(tmp_path, grace=0, retention=0)
    assert not any(path.exists() for path in mine)


def test_a_slow_writer_keeps_the_versions_that_came_after_the_one_it_builds_on(tmp_path: Path) -> None:
    dataset = tmp_path / "train"
    for version in (1, 2, 3):
        publish(dataset, version, [shard_name()], OLD)
    at = lease(dataset, "writer", live=True, job=str(uuid.uuid4()), base_version=1)
    gc(tmp_path, retention=0)
    assert sorted(path.name for path in dataset.glob("_dlcache/0*")) == [f"{n:020d}.json" for n in (2, 3)]
    at.unlink()
    gc(tmp_path, retention=0)
    assert sorted(path.name for path in dataset.glob("_dlcache/0*")) == [f"{3:020d}.json"]


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
    dataset, job = tmp_path / DIGEST, str(uuid.uuid4())
    publish(dataset, 2, [shard_name()], OLD)
    orphan = put(dataset / shard_name(job), b"", OLD)
    lease(dataset, "writer", live=False, job=job)
    at = lease(dataset, "reader", live=True, version=1)
    gc(tmp_path)
    assert orphan.exists()
    at.unlink()
    gc(tmp_path)
    assert not orphan.exists()


def test_what_a_failed_first_write_left_goes_with_its_dead_lease(tmp_path: Path) -> None:
    dataset, job = tmp_path / DIGEST, str(uuid.uuid4())
    old, young = put(dataset / shard_name(job), b"", OLD), put(dataset / shard_name(job), b"", YOUNG)
    lease(dataset, "writer", live=False, job=job)
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
    job = str(uuid.uuid4())
    named, unnamed = shard_name(job), shard_name(job)
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


def test_a_deleter_that_is_killed_while_gc_looks_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last deletion comes between two looks of gc: what it has deleted must not be taken for what is there."""
    dataset, shard = tmp_path / "train", shard_name()
    publish(dataset, 1, [shard], OLD)
    deleter = {"host": this_host(), "pid": 1, "process-start": "1", "expires-at": utc(ago(-3600))}
    record = {"versions": [1], "shards": [shard], **deleter}
    put(dataset / "_dlcache" / f"deleted-{uuid.uuid4()}.json", json.dumps(record).encode(), OLD)
    manifest = next(dataset.glob("_dlcache/0*.json"))

    def ends(pid: int, start: str | None) -> bool:
        manifest.unlink(missing_ok=True)
        return False

    monkeypatch.setattr(_lifecycle, "is_running", ends)
    for _ in range(2):
        gc(tmp_path)
    assert not dataset.exists()


def test_times_must_not_be_negative(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="grace is -1"):
        gc(tmp_path, grace=-1)
