"""Remote stores: what is fetched, how often, into what; retries, errors, and the mirror that processes share."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import types
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import _gcs
import _s3
import _writer
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

import dlcache
from dlcache import _failures, _retry
from dlcache._connect import _http_address, _rpc_port, connect, hadoop_conf, parse_uri
from dlcache._files import Files
from dlcache._leases import parse_lease
from dlcache._mirror import Mirror, MirrorOptions, mirror_bytes, mirror_folder
from dlcache._ranges import merged, pieces
from dlcache._remote import redact
from dlcache._store import local_path

ROWS, SHARD_ROWS, WIDTH = 400, 100, 8192


@pytest.fixture
def s3() -> Iterator[_s3.S3]:
    with _s3.serving() as server:
        yield server


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Four shards: a wide tensor, a narrow label, a text with nulls, which is not raw in pyarrow's files."""
    rng = np.random.default_rng(7)
    wide = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(ROWS * WIDTH, np.float32)), WIDTH)
    names = pa.array([None if number % 7 == 0 else f"row {number}" for number in range(ROWS)])
    nested = pa.array([["a", f"b{number}"] for number in range(ROWS)])
    table = pa.table(
        {
            "wide": wide.cast(pa.list_(pa.float32())),
            "label": np.arange(ROWS, dtype=np.int64),
            "name": names,
            "n": nested,
        }
    )
    return _writer.write(tmp_path / "local", table, shard_rows=SHARD_ROWS, row_group_rows=40)


def _with(error: Exception, **attributes: Any) -> Exception:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def load(s3: _s3.S3, uri: str, tmp_path: Path, **options: Any) -> dlcache.Dataset:
    return dlcache.load(uri, storage_options=s3.options, cache_dir=tmp_path / "mirror", **options)


def test_remote_rows_are_the_local_ones(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    dataset, here = load(s3, s3.upload(local, "a b/ü%20x"), tmp_path), dlcache.load(local)
    for options in ({"shuffle": True}, {"columns": ["name"]}, {"columns": ["n", "label"], "shuffle": True}):
        there = list(dataset.numpy(32, nulls="mask", **options))
        assert repr(there) == repr(list(here.numpy(32, nulls="mask", **options)))
    assert dataset.verify(pages=True)
    with dataset:
        (held,) = [key for key in s3.objects if "/leases/" in key and key.endswith(".json")]
        assert parse_lease(s3.objects[held]) is not None
    assert not [key for key in s3.objects if "/leases/" in key and key.endswith(".json")]


def test_each_shard_is_fetched_once_and_then_mapped(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    uri = s3.upload(local, "train")
    for _ in range(2):
        dataset = load(s3, uri, tmp_path)
        for _ in range(2):
            assert sum(len(batch["label"]) for batch in dataset.numpy(32, shuffle=True, nulls="mask")) == ROWS
    assert sorted(s3.fetched().values()) == [1, 1, 1, 1]
    assert len(s3.ranges()) == 4
    assert sum(request.bytes for request in s3.ranges()) == dataset.manifest.bytes


def test_few_columns_are_read_by_ranges(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    dataset, here = load(s3, s3.upload(local, "train"), tmp_path), dlcache.load(local)
    labels = np.concatenate([batch["label"] for batch in dataset.numpy(32, columns=["label"], shuffle=True)])
    np.testing.assert_array_equal(np.sort(labels), np.arange(ROWS))
    fetched = sum(request.bytes for request in s3.ranges())
    assert fetched < dataset.manifest.bytes // 4
    s3.requests.clear()
    assert repr(dataset.gather([5, 250], ["name"], nulls="mask")) == repr(here.gather([5, 250], ["name"], nulls="mask"))
    assert 0 < sum(request.bytes for request in s3.ranges()) < dataset.manifest.bytes // 2
    s3.requests.clear()
    for columns in (["label"], ["name"]):
        list(load(s3, dataset.path, tmp_path).numpy(100, columns=columns, nulls="mask"))
    assert sum(request.bytes for request in s3.ranges()) < dataset.manifest.bytes // 2
    s3.requests.clear()
    list(dataset.numpy(100, nulls="mask"))
    assert sum(request.bytes for request in s3.ranges()) == dataset.manifest.bytes
    s3.requests.clear()
    list(load(s3, dataset.path, tmp_path).numpy(100, columns=["n"], nulls="mask"))
    assert s3.ranges() == []  # the whole shards are there


def test_a_filter_fetches_its_columns_alone(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    uri, here = s3.upload(local, "train"), dlcache.load(local)
    dataset = load(s3, uri, tmp_path)

    def fetched(condition: Any, dataset: dlcache.Dataset = dataset) -> int:
        """The bytes that this filter asks the store for. It finds the rows that it finds locally."""
        s3.requests.clear()
        labels = dataset.filter(condition).rows.at(np.arange(len(here.filter(condition))))
        np.testing.assert_array_equal(labels, here.filter(condition).rows.at(np.arange(len(labels))))
        return sum(request.bytes for request in s3.ranges())

    few = dataset.manifest.bytes // 4
    assert 0 < fetched(("label", "<", 130)) < few
    assert fetched([[("label", "in", [3, 250])], [("label", ">", 390)]]) == 0  # the mirror has it
    assert 0 < fetched([("name", "!=", "row 5"), ("label", ">", 3)]) < few
    assert 0 < fetched(pc.list_value_length(pc.field("n")) > 1) < few
    assert 0 < fetched(pc.field("label") > 200, load(s3, uri, tmp_path, cache_bytes=0)) < few
    assert fetched(pc.field(1) == 7) > few * 3  # a column by its number
    assert fetched(pc.list_value_length(pc.field("wide")) == WIDTH) == 0  # whole shards are there by now
    assert fetched(("label", "==", 5)) == 0
    fresh = load(s3, uri, tmp_path / "other")
    assert fetched(pc.list_value_length(pc.field("wide")) == WIDTH, fresh) == dataset.manifest.bytes
    s3.requests.clear()
    with pytest.raises(dlcache.OptionError, match="label"):
        load(s3, uri, tmp_path / "another").filter(("label", "==", "three"))
    assert sum(request.bytes for request in s3.ranges()) < few


def test_without_a_mirror_nothing_is_left(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    dataset = load(s3, s3.upload(local, "train"), tmp_path, cache_bytes=0)
    assert sum(len(batch["label"]) for batch in dataset.numpy(32, shuffle=True, nulls="mask")) == ROWS
    assert sorted(s3.fetched().values()) == [1, 1, 1, 1]
    assert not (tmp_path / "mirror").exists()


READ = """
import sys, json, dlcache
from pyarrow import fs
options = json.loads(sys.argv[2])
options["retry_strategy"] = fs.AwsStandardS3RetryStrategy(max_attempts=1)
dataset = dlcache.load(sys.argv[1], storage_options=options, cache_dir=sys.argv[3])
print(sum(int(batch["label"].sum()) for batch in dataset.numpy(32, shuffle=True, nulls="mask")), flush=True)
"""


def _process(s3: _s3.S3, uri: str, folder: Path) -> subprocess.Popen[str]:
    options = {name: value for name, value in s3.options.items() if name != "retry_strategy"} | {
        "request_timeout": 30.0
    }
    environment = {**os.environ, "PYTHONPATH": str(Path(dlcache.__file__).parent.parent)}
    command = [sys.executable, "-c", READ, uri, json.dumps(options), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_start_together_fetch_each_shard_once(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    uri = s3.upload(local, "train")
    processes = [_process(s3, uri, tmp_path / "mirror") for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=120)[0] == f"{sum(range(ROWS))}\n"
    assert sorted(s3.fetched().values()) == [1, 1, 1, 1]
    assert len(s3.ranges()) == 4


def test_a_process_killed_in_a_download_leaves_a_usable_mirror(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    uri, folder = s3.upload(local, "train"), tmp_path / "mirror"
    s3.slow = threading.Event()
    with _process(s3, uri, folder) as process:
        assert s3.waiting.acquire(timeout=60)
        process.kill()
        process.wait()
    parts = list(folder.glob("*.part"))
    assert parts
    s3.slow.set()
    s3.slow = None
    dataset = load(s3, uri, tmp_path)
    assert sum(int(batch["label"].sum()) for batch in dataset.numpy(32, nulls="mask")) == sum(range(ROWS))
    assert not list(folder.glob("*.part"))
    assert len([path for path in folder.iterdir() if path.name != ".lock"]) == 4


def _name(of: object) -> str:
    return hashlib.sha256(str(of).encode()).hexdigest()


def _open(mirror: Mirror, of: object, size: int) -> int:
    def fill(part: int) -> None:
        os.pwrite(part, b"y" * size, 0)

    descriptor = mirror.open(_name(of), size, lambda: [(0, size)], fill)
    assert descriptor is not None
    return descriptor


def test_what_a_dead_process_began_goes_when_room_is_made_and_foreign_files_stay(tmp_path: Path) -> None:
    (tmp_path / f"{_name('abandoned')}.part").write_bytes(b"x" * 100_000)
    (tmp_path / "a-file-of-mine").write_bytes(b"x" * 500_000)
    mirror = Mirror(str(tmp_path), 200_000)
    os.close(_open(mirror, "new", 150_000))
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "a-file-of-mine", _name("new")}


def test_the_mirror_keeps_its_bound_and_what_was_used_last(tmp_path: Path) -> None:
    def there() -> set[str]:
        return {path.name for path in tmp_path.iterdir()} - {".lock"}

    mirror = Mirror(str(tmp_path), 1_000_000)
    for number in range(10):
        os.close(_open(mirror, number, 300_000))
        os.utime(tmp_path / _name(number), ns=(number, number))
        assert mirror.used() <= 1_000_000
    assert there() == {_name(7), _name(8), _name(9)}
    kept = _open(mirror, 7, 300_000)  # used again
    os.close(_open(mirror, 10, 300_000))
    assert there() == {_name(10), _name(7), _name(9)}
    (tmp_path / _name(7)).unlink()
    assert os.pread(kept, 10, 0) == b"y" * 10
    os.close(kept)
    assert mirror.open(_name("large"), 2_000_000, lambda: [(0, 2_000_000)], lambda part: None) is None
    assert mirror.used() <= 1_000_000


def test_a_failed_fetch_leaves_nothing(tmp_path: Path) -> None:
    def fail(part: int) -> None:
        raise dlcache.ShardError("no")

    mirror = Mirror(str(tmp_path), 1_000_000)
    with pytest.raises(dlcache.ShardError):
        mirror.open(_name("x"), 1000, lambda: [(0, 1000)], fail)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    os.close(_open(mirror, "x", 1000))


def test_a_dataset_larger_than_the_mirror_streams_through_it(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    uri = s3.upload(local, "train")
    largest = int(dlcache.load(local).manifest.shards.bytes.max())
    dataset = load(s3, uri, tmp_path, cache_bytes=3 * largest)
    mirror = Mirror(str(tmp_path / "mirror"), 0)
    orders: tuple[dict[str, Any], ...] = ({"shuffle": True, "shuffle_window": 40}, {})
    for options in orders:
        rows = 0
        for batch in dataset.numpy(20, nulls="mask", **options):
            rows += len(batch["label"])
            assert mirror.used() <= 3 * largest
            assert len(dataset.reader.maps._files) <= dataset.reader.maps.limit == 1
        assert rows == ROWS


def test_the_next_shards_are_fetched_while_the_first_is_read(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    s3.slow = threading.Event()
    s3.slow.set()
    dataset = load(s3, s3.upload(local, "train"), tmp_path)
    batches = iter(dataset.numpy(10, threads=0, columns=["wide", "label"]))
    assert next(batches)["label"].tolist() == list(range(10))
    for _ in dataset.manifest.shards.paths:
        assert s3.waiting.acquire(timeout=60)
    assert len(list(batches)) == ROWS // 10 - 1
    assert sorted(s3.fetched().values()) == [1, 1, 1, 1]


def test_the_next_shards_of_all_members_of_a_mixture_are_fetched_while_the_first_are_read(
    s3: _s3.S3, local: Path, tmp_path: Path
) -> None:
    members = [load(s3, s3.upload(local, name), tmp_path, cache_bytes=1 << 30) for name in ("one", "other")]
    s3.slow = threading.Event()
    s3.slow.set()
    mixture = dlcache.mix(members, [0.8, 0.2], stop="all")
    batches = iter(mixture.numpy(10, threads=0, columns=["wide", "label"]))
    next(batches)
    for _ in range(7):
        assert s3.waiting.acquire(timeout=60)
    # Three shards' rows ahead, and no second batch was asked for.
    assert Counter(key.partition("/")[0] for key in s3.fetched()) == {"one": 3, "other": 4}
    rows = 10 + sum(len(batch["label"]) for batch in batches)
    assert rows == len(mixture)
    assert sorted(s3.fetched().values()) == [1] * 8


@pytest.mark.parametrize("trouble", [{"fail_every": 4}, {"stall_every": 9}])
def test_a_reader_keeps_going_when_requests_fail(
    s3: _s3.S3, local: Path, tmp_path: Path, trouble: dict[str, int]
) -> None:
    uri = s3.upload(local, "train")
    for name, value in trouble.items():
        setattr(s3, name, value)
    dataset = load(s3, uri, tmp_path)
    for columns in (["label"], None):
        batches = dataset.numpy(32, shuffle=True, columns=columns, nulls="mask")
        assert sum(int(batch["label"].sum()) for batch in batches) == sum(range(ROWS))
    assert dataset.verify()


def test_a_shard_that_changes_on_the_way_is_fetched_again_and_a_damaged_one_is_an_error(
    s3: _s3.S3, local: Path, tmp_path: Path
) -> None:
    uri = s3.upload(local, "train")
    key = next(key for key in s3.objects if "/data/" in key)
    sound = s3.objects[key]
    s3.objects[key] = sound[:1000] + bytes([sound[1000] ^ 1]) + sound[1001:]
    with pytest.raises(dlcache.ShardError, match="CRC-32"):
        list(load(s3, uri, tmp_path).numpy(32, nulls="mask", threads=0))
    assert len(s3.ranges(key)) in (2, 4)  # twice, by who fetches ahead too
    assert [problem.path in key for problem in load(s3, uri, tmp_path).verify().problems] == [True]
    s3.objects[key] = sound[:-1]
    with pytest.raises(dlcache.ShardError, match="bytes, and its manifest says"):
        list(load(s3, uri, tmp_path).numpy(32, nulls="mask"))
    del s3.objects[key]
    with pytest.raises(dlcache.ShardError, match="is missing"):
        list(load(s3, uri, tmp_path).numpy(32, nulls="mask"))


def test_errors_name_the_path_and_the_way_out_and_no_secret(s3: _s3.S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retry, "FIRST_PAUSE", 0.0)
    s3.fail_every = 1
    with pytest.raises(dlcache.StorageError, match=r"s3a://bucket/x.*tried 4 times") as failed:
        dlcache.load("s3a://bucket/x", storage_options=s3.options)
    assert len(s3.requests) == 4
    assert "a-secret-key" not in str(failed.value)
    s3.fail_every = 0
    with pytest.raises(dlcache.StorageError, match="no-such"):
        dlcache.load("s3a://no-such/x", storage_options=s3.options)
    with pytest.raises(dlcache.NotADatasetError):
        dlcache.load("s3a://bucket/x", storage_options=s3.options)
    with pytest.raises(dlcache.OptionError, match="bogus"):
        dlcache.load("s3a://bucket/x", storage_options={"bogus": "a-secret-key"})
    with pytest.raises(dlcache.OptionError, match="password") as refused:
        dlcache.load("s3a://user:a-secret-key@bucket/x")
    assert "a-secret-key" not in str(refused.value)


def test_a_dataset_prints_no_option_and_takes_them_along(s3: _s3.S3, local: Path, tmp_path: Path) -> None:
    options = {name: value for name, value in s3.options.items() if name != "retry_strategy"}
    dataset = dlcache.load(s3.upload(local, "x"), storage_options=options, cache_dir=tmp_path / "mirror")
    assert "a-secret-key" not in f"{dataset!r} {dataset.store!r} {dataset.numpy(nulls='mask')!r}"
    copied = pickle.loads(pickle.dumps(dataset))
    assert copied == dataset
    assert copied.store.mirror.folder == str(tmp_path / "mirror")


def test_the_variables_of_the_aws_tools_are_enough(
    s3: _s3.S3, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3.upload(local, "x")
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert len(dlcache.load(uri)) == ROWS
    assert dlcache.gc("s3a://bucket", grace=0).datasets[0].removed == ()


def test_folders_of_google_are_parts_of_names(local: Path, tmp_path: Path) -> None:
    root = tmp_path / "bucket" / "root"
    shutil.copytree(local, root / "an ü%20x")
    (root / "file").write_bytes(b"1")
    uri = "gs://bucket/root/an ü%20x"
    with _gcs.serving(root.parent) as gcs:
        dataset = dlcache.load(uri, storage_options=gcs.options, cache_dir=tmp_path / "mirror")
        batches = dataset.numpy(64, columns=["wide", "label"])
        assert [int(label) for batch in batches for label in batch["label"]] == list(range(ROWS))
        listed = Files.of("gs://bucket/root", gcs.options).listing("")
        assert {(entry.path, entry.kind, entry.size) for entry in listed} == {
            ("an ü%20x", "directory", 0),
            ("file", "file", 1),
        }
        files = [entry.path for entry in Files.of(uri, gcs.options).entries() if entry.kind == "file"]
        assert files == sorted(path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file())


def test_what_is_not_there_is_asked_for_once_of_google(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(b"1")
    with _gcs.serving(tmp_path) as gcs:
        for path in ("gs://bucket/roo", "gs://bucket/root/file", "gs://another/x"):
            with pytest.raises(dlcache.NotADatasetError):
                dlcache.load(path, storage_options=gcs.options)
        requests = gcs.requests()
    assert len(requests) == len(set(requests)) > 0


def _client(uri: str, **options: Any) -> Any:
    """PyArrow's file system of a URI."""
    parsed = parse_uri(uri)
    assert parsed is not None
    driver: Any = connect(parsed, options)[0]
    return driver._fs


def test_google_s_client_does_not_try_for_a_quarter_of_an_hour() -> None:
    told = timedelta(seconds=100)
    ours = _client("gs://bucket/x", anonymous=True)
    assert ours == fs.GcsFileSystem(anonymous=True, retry_time_limit=timedelta(seconds=15))
    assert ours != fs.GcsFileSystem(anonymous=True)
    assert _client("gs://bucket/x", anonymous=True, retry_time_limit=told) == fs.GcsFileSystem(
        anonymous=True, retry_time_limit=told
    )


@pytest.mark.skipif(not hasattr(fs, "AzureFileSystem"), reason="PyArrow has it since version 20")
def test_the_account_of_azure_is_in_the_path_or_in_the_options() -> None:
    key = "a2V5"
    said = fs.AzureFileSystem("account", account_key=key)
    assert _client("abfss://container@account.dfs.core.windows.net/x", account_key=key) == said
    for uri in ("abfss://container/x", "abfss://container@localhost/x"):
        assert _client(uri, account_name="account", account_key=key) == said


def test_who_empties_a_file_before_it_is_replaced() -> None:
    uris = ["/x", "s3a://b/x", "gs://b/x", "hdfs://h/x", "webhdfs://h:1/x", "abfss://c@a.dfs.core.windows.net/x"]
    assert [Files.of(uri).replaces_whole for uri in uris] == [True, True, True, False, False, False]


def test_redaction() -> None:
    options = {"client_kwargs": {"aws_secret_access_key": "abcdef"}, "token": "ghijkl", "region": "eu"}
    said = "abcdef ghijkl eu https://x/y?delegation=KKK&X-Amz-Signature=SSS&a=1"
    assert redact(said, options) == "*** *** eu https://x/y?delegation=***&X-Amz-Signature=***&a=1"


PATH = "user_authentication_events/forbidden/timeout/no_such_bucket/AWS Error ACCESS_DENIED"
WHERE = f"When reading information for key '{PATH}' in bucket 'b': "


@pytest.mark.parametrize(
    ("error", "refused", "late", "again"),
    [
        (OSError(f"{WHERE}AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28, x"), 0, 1, 1),
        (OSError(f"{WHERE}AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, x"), 0, 0, 1),
        (OSError(f"{WHERE}AWS Error SLOW_DOWN during HeadObject operation: {PATH}"), 0, 0, 1),
        (OSError(f"{WHERE}AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: x"), 0, 0, 1),
        (OSError(f"{WHERE}AWS Error ACCESS_DENIED during HeadObject operation: {PATH}"), 1, 0, 0),
        (OSError(f"{WHERE}AWS Error UNKNOWN (HTTP status 403) during HeadObject operation: x"), 1, 0, 0),
        (OSError(f"{WHERE}AWS Error NO_SUCH_BUCKET during HeadObject operation: x"), 0, 0, 0),
        (OSError(f"google::cloud::Status(UNAVAILABLE: {PATH})"), 0, 0, 1),
        (OSError(f"google::cloud::Status(PERMISSION_DENIED: {PATH})"), 1, 0, 0),
        (OSError(f"google::cloud::Status(DEADLINE_EXCEEDED: {PATH})"), 0, 1, 1),
        (OSError(f"{PATH} failed. Azure Error: [AuthorizationFailure] 403 This"), 1, 0, 0),
        (OSError(f"{PATH} failed. Azure Error: [ServerBusy] 503 The"), 0, 0, 1),
        (RuntimeError(PATH), 0, 0, 1),
        (ConnectionResetError(PATH), 0, 0, 1),
        (TimeoutError(PATH), 0, 1, 1),
        (PermissionError(PATH), 1, 0, 0),
        (_with(OSError(PATH), status=403), 1, 0, 0),
        (_with(OSError(PATH), status=500), 0, 0, 1),
        (_with(OSError(PATH), response={"Error": {"Code": "InvalidAccessKeyId", "Message": "x"}}), 1, 0, 0),
        (_with(OSError(PATH), response={"Error": {"Code": "SlowDown", "Message": "forbidden"}}), 0, 0, 1),
        (_with(OSError(PATH), response=types.SimpleNamespace(status_code=504)), 0, 1, 1),
        (_with(OSError(PATH), __cause__=_with(ValueError("x"), code=401)), 1, 0, 0),
    ],
)
def test_what_an_error_means_is_in_its_codes_and_not_in_the_path(
    error: Exception, refused: int, late: int, again: int
) -> None:
    found = (_failures.is_refusal(error), _failures.is_timeout(error), _failures.is_transient(error))
    assert found == (bool(refused), bool(late), bool(again))


def test_a_request_that_times_out_is_made_again_whatever_the_path_is_called(
    s3: _s3.S3, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_retry, "FIRST_PAUSE", 0.0)
    uri = s3.upload(local, "user_authentication_events/train")
    s3.stalls = lambda request: request.method == "HEAD" and request.key.endswith(".json")
    options = s3.options | {"request_timeout": 0.2}
    with pytest.raises(dlcache.StorageError, match="did not answer in time, 4 times"):
        dlcache.load(uri, storage_options=options)


def test_one_uri_in_two_stores_is_two_datasets(
    s3: _s3.S3, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leases(store: _s3.S3) -> int:
        return sum("/leases/" in key and key.endswith(".json") for key in store.objects)

    with _s3.serving() as other:
        uris = [store.upload(local, "train") for store in (s3, other)]
        assert uris[0] == uris[1]
        datasets = [load(store, uris[0], tmp_path) for store in (s3, other)]
        assert datasets[0] != datasets[1]
        with datasets[0], datasets[1], load(s3, uris[0].replace("s3:", "s3a:"), tmp_path):
            assert (leases(s3), leases(other)) == (1, 1)
        assert (leases(s3), leases(other)) == (0, 0)
        # By the variables of the AWS tools, too.
        secret = {name: value for name, value in s3.options.items() if name not in ("endpoint_override", "scheme")}
        for store in (s3, other):
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
            with dlcache.load(uris[0], storage_options=secret):
                assert (leases(s3), leases(other)) == (store is s3, store is other)


def test_what_is_tried_again() -> None:
    pauses: list[float] = []
    calls: list[int] = []

    def fail_twice() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("reset")
        return "done"

    assert _retry.retry(fail_twice, pause=pauses.append) == "done"
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]
    final_ones = [FileNotFoundError("x"), PermissionError("x"), TypeError("x"), OSError("AWS Error ACCESS_DENIED")]
    final_ones += [OSError(f"Azure Error: [Authorization{reason}] 403") for reason in ("Failure", "PermissionMismatch")]
    for final in final_ones:
        assert not _failures.is_transient(final)
    for passing in (OSError("AWS Error NETWORK_CONNECTION"), TimeoutError(), ConnectionResetError()):
        assert _failures.is_transient(passing)
    for attempt in range(2, 20):
        assert 0 < _retry.pause_before(attempt, 1.0) <= _retry.pause_before(attempt, 0.0) <= _retry.MOST_PAUSE


def test_one_string_means_one_place(tmp_path: Path) -> None:
    assert parse_uri("/a/b") is None
    assert str(parse_uri("s3a://b/x%20y z#?")) == "s3://b/x%20y z#?"
    assert str(parse_uri("abfss://c@acct.dfs.core.windows.net/x")) == "abfs://c@acct.dfs.core.windows.net/x"
    assert local_path("dbfs:/train/x") == "/dbfs/train/x"
    assert local_path("dbfs:/Volumes/main/x") == "/Volumes/main/x"
    assert local_path("/Volumes/main/x") == "/Volumes/main/x"
    assert local_path("file:///a/b") == "/a/b"
    assert all(local_path(uri) is None for uri in ("s3://b/x", "hdfs:///x", "gs://b/x", "abfss://c@a/x"))


def test_the_mirror_is_where_and_as_large_as_asked(tmp_path: Path) -> None:
    assert mirror_folder({"DLCACHE_MIRROR_DIR": "/m"}, "/home/u") == "/m"
    assert mirror_folder({"XDG_CACHE_HOME": "/c"}, "/home/u") == "/c/dlcache-mirror"
    assert mirror_folder({}, "/home/u") == "/home/u/.cache/dlcache-mirror"
    assert mirror_bytes({"DLCACHE_MIRROR_BYTES": "7"}, 10) == 7
    assert mirror_bytes({}, 10) == 5
    assert mirror_bytes({}, 10**15) == 20 * 10**9
    with pytest.raises(dlcache.OptionError, match="DLCACHE_MIRROR_BYTES"):
        mirror_bytes({"DLCACHE_MIRROR_BYTES": "20GB"}, 10)
    for wrong in (-1, 1.5, True):
        with pytest.raises(dlcache.OptionError, match="cache_bytes"):
            MirrorOptions.of(None, wrong)  # type: ignore[arg-type]
    assert Mirror.of(MirrorOptions(str(tmp_path / "m"), 5)) is not None
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o700


def test_where_name_nodes_are(tmp_path: Path) -> None:
    assert _http_address("node", {}) == {"host": "node", "port": 9870}
    assert _rpc_port("node", {}) == 8020
    environment = {"HADOOP_CONF_DIR": str(tmp_path)}
    properties = {
        "fs.defaultFS": "hdfs://node:8020",
        "dfs.namenode.http-address": "0.0.0.0:50070",
        "dfs.nameservices": "several, others",
        "dfs.ha.namenodes.several": "n1,n2",
        "dfs.namenode.http-address.several.n1": "first:9871",
    }
    items = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()
    )
    (tmp_path / "hdfs-site.xml").write_text(f"<configuration>{items}</configuration>")
    assert _http_address("node", environment) == {"host": "node", "port": 50070}
    assert _http_address("", environment) == {"host": "node", "port": 50070}
    assert _http_address("several", environment) == {"host": "first", "port": 9871}
    assert _http_address("elsewhere", environment) == {"host": "elsewhere", "port": 9870}
    assert (_rpc_port("several", environment), _rpc_port("", environment), _rpc_port("x", environment)) == (0, 0, 8020)
    with pytest.raises(dlcache.StorageError, match="HADOOP_CONF_DIR"):
        _http_address("", {})


def test_hadoop_properties(tmp_path: Path) -> None:
    assert hadoop_conf("") == {}
    assert hadoop_conf(str(tmp_path)) == {}
    (tmp_path / "hdfs-site.xml").write_text(
        "<configuration><property><name>a</name><value> b </value></property></configuration>"
    )
    assert hadoop_conf(str(tmp_path)) == {"a": "b"}
    (tmp_path / "core-site.xml").write_text("<configuration>")
    with pytest.raises(dlcache.StorageError, match=r"core-site\.xml"):
        hadoop_conf(str(tmp_path))


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), max_size=20),
    st.integers(0, 50),
    st.integers(1, 70),
)
def test_merged_ranges_have_all_bytes_and_no_two_near_ones(ranges: list[tuple[int, int]], gap: int, most: int) -> None:
    out = merged(ranges, gap)
    wanted = {at for start, count in ranges for at in range(start, start + count)}
    assert wanted <= {at for start, count in out for at in range(start, start + count)}
    assert all(right[0] - (left[0] + left[1]) > gap for left, right in pairwise(out))
    cut = pieces(out, most)
    assert all(0 < count <= most for _, count in cut)
    assert [at for start, count in cut for at in range(start, start + count)] == [
        at for start, count in out for at in range(start, start + count)
    ]


def test_checksums_are_of_the_whole_file(local: Path) -> None:
    manifest = dlcache.load(local).manifest
    for path, crc32 in zip(manifest.shards.paths, manifest.shards.crc32, strict=True):
        assert zlib.crc32((local / path).read_bytes()) == crc32
