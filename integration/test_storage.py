"""The same life of a dataset on a local disk, on S3 and on HDFS: both servers are real, and started here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration import _cluster, _servers
from pyarrow import fs

import dlcache
from dlcache._files import Files

BUCKET = "bucket"


@dataclass(frozen=True)
class Place:
    """Where datasets of these tests lie, as Spark and Python both call it, and what Python (options, environment) and
    Spark (hadoop, a conf of its file systems) need to get there."""

    url: str
    options: Mapping[str, Any]
    environment: Mapping[str, str]
    hadoop: Mapping[str, str]

    def files(self, path: str) -> list[str]:
        """The files of a dataset."""
        return [entry.path for entry in Files.of(path, self.options).entries() if entry.kind == "file"]


@pytest.fixture(scope="module")
def places(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    base = tmp_path_factory.mktemp("stores")
    with ExitStack() as servers:
        s3, hdfs = (
            servers.enter_context(_servers.s3proxy(base / "s3")),
            servers.enter_context(_servers.hdfs(base / "hdfs")),
        )
        options = _s3_options(_servers.port_of(s3))
        fs.S3FileSystem(**options, allow_bucket_creation=True).create_dir(BUCKET)
        s3_conf = _s3_conf(options)
        for name, value in s3_conf.items():
            spark.sparkContext._jsc.hadoopConfiguration().set(name, value)
        _servers.wait_for_hdfs(hdfs, base / "hdfs")
        name_node = json.loads((base / "hdfs" / "details.json").read_text())["namenode_port"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HADOOP_CONF_DIR", str(base / "hdfs"))
            yield {
                "local": Place(str(base / "local"), {}, {}, {}),
                "s3": Place(f"s3a://{BUCKET}/datasets", options, _s3_environment(options), s3_conf),
                "hdfs": Place(
                    f"hdfs://localhost:{name_node}/datasets", {}, {"HADOOP_CONF_DIR": str(base / "hdfs")}, {}
                ),
            }


def _s3_options(port: int) -> dict[str, Any]:
    return {
        "access_key": _servers.ACCESS_KEY,
        "secret_key": _servers.SECRET_KEY,
        "endpoint_override": f"127.0.0.1:{port}",
        "scheme": "http",
        "region": "us-east-1",
    }


def _s3_environment(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": options["access_key"],
        "AWS_SECRET_ACCESS_KEY": options["secret_key"],
        "AWS_ENDPOINT_URL": f"http://{options['endpoint_override']}",
        "AWS_REGION": "us-east-1",
    }


def _s3_conf(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        "fs.s3a.endpoint": f"http://{options['endpoint_override']}",
        "fs.s3a.endpoint.region": options["region"],
        "fs.s3a.path.style.access": "true",
        "fs.s3a.access.key": options["access_key"],
        "fs.s3a.secret.key": options["secret_key"],
        "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        f"fs.s3a.bucket.{BUCKET}-without.create.conditional.enabled": "false",
    }


@pytest.fixture(params=["local", "s3", "hdfs"])
def place(request: pytest.FixtureRequest, places: dict[str, Place]) -> Place:
    return _place(request.param, places)


def _place(name: str, places: dict[str, Place]) -> Place:
    if name == "s3" and not _servers.s3a_puts_conditionally():
        pytest.skip(f"S3A puts conditionally from Hadoop 3.4.2 on, and this Spark has {_servers.hadoop_version()}")
    return places[name]


def _rows(spark: Any, start: int, stop: int) -> Any:
    columns = ["id", "array(float(id), float(id) + 0.5F, float(-id)) AS features", "'row ' || id AS name"]
    return spark.range(start, stop, 1, 2).selectExpr(*columns)


def _ids(dataset: dlcache.Dataset) -> list[int]:
    return [int(number) for batch in dataset.numpy(8) for number in batch["id"]]


def test_the_life_of_a_dataset(spark: Any, jobs: Any, place: Place) -> None:
    path = f"{place.url}/life of ü%20x"

    def cache(start: int, stop: int, **options: Any) -> dlcache.Dataset:
        rows = _rows(spark, start, stop)
        return dlcache.cache(rows, path, progress=False, storage_options=place.options, **options)

    first = cache(0, 20)
    assert (first.result.hit, len(first), _ids(first)) == (False, 20, list(range(20)))
    again, hit_jobs = jobs.of(lambda: cache(0, 20))
    assert (again.result.hit, hit_jobs) == (True, 0)
    both = cache(20, 30, mode="append")
    assert (both.version, _ids(both)) == (2, list(range(30)))
    assert _ids(dlcache.load(path, version=1, storage_options=place.options)) == list(range(20))

    read = spark.read.format("dlcache").load(path).orderBy("id").collect()
    assert [(row.id, list(row.features), row.name) for row in read[:2]] == [
        (0, [0.0, 0.5, 0.0], "row 0"),
        (1, [1.0, 1.5, -1.0], "row 1"),
    ]
    assert len(read) == 30

    anew = cache(100, 104, mode="overwrite")
    assert (anew.version, _ids(anew)) == (3, [100, 101, 102, 103])
    assert dlcache.verify(path, storage_options=place.options, pages=True)
    before = place.files(path)
    report = dlcache.gc(path, retention=0, grace=0, storage_options=place.options)
    gone = {removal.path for removal in report.datasets[0].removed}
    assert set(place.files(path)) == set(before) - gone
    assert {f"_dlcache/{1:020d}.json", f"_dlcache/{2:020d}.json"} < gone
    assert len([name for name in place.files(path) if name.startswith("data/")]) == len(anew.manifest.shards)
    assert _ids(anew) == [100, 101, 102, 103]
    assert dlcache.verify(path, storage_options=place.options)

    with dlcache.load(path, storage_options=place.options) as held:
        with pytest.raises(dlcache.InUseError):
            anew.delete()
        assert len([name for name in place.files(path) if "/leases/" in name]) == 1
        assert _ids(held) == [100, 101, 102, 103]
    anew.delete()
    assert place.files(path) == []
    with pytest.raises(dlcache.NotADatasetError):
        dlcache.load(path, storage_options=place.options)


def test_training_reads_it(spark: Any, place: Place) -> None:
    path = f"{place.url}/training"
    dataset = dlcache.cache(_rows(spark, 0, 64), path, progress=False, storage_options=place.options)
    expected = np.array([[number, number + 0.5, -number] for number in range(64)], np.float32)
    torch_batches = list(dataset.torch(16, shuffle=True, columns=["id", "features"]))
    tensorflow_batches = list(dataset.tf(16, shuffle=True, columns=["id", "features"]))
    for batches in (torch_batches, tensorflow_batches):
        ids = np.concatenate([np.asarray(batch["id"]) for batch in batches])
        assert sorted(ids.tolist()) == list(range(64))
        np.testing.assert_array_equal(
            np.concatenate([np.asarray(batch["features"]) for batch in batches]), expected[ids]
        )


def test_forked_workers_read_it(spark: Any, place: Place) -> None:
    from torch.utils.data import DataLoader

    path = f"{place.url}/workers"
    dataset = dlcache.cache(_rows(spark, 0, 64), path, progress=False, storage_options=place.options)
    loader = DataLoader(dataset.torch(16, columns=["id"]), batch_size=None, num_workers=2)
    assert sorted(int(number) for batch in loader for number in batch["id"]) == list(range(64))


def test_appends_at_the_same_time_are_all_there(spark: Any, place: Place) -> None:
    path = f"{place.url}/contended"

    def append(part: int) -> None:
        rows = _rows(spark, 10 * part, 10 * part + 10).coalesce(1)
        rows.write.format("dlcache").mode("append").save(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    dataset = dlcache.load(path, storage_options=place.options)
    assert dataset.version == 4
    assert sorted(_ids(dataset)) == list(range(40))
    assert dataset.store.versions() == [1, 2, 3, 4]
    leftovers = [name for name in place.files(path) if name.endswith(".tmp") or "/leases/" in name]
    assert leftovers == []


def test_the_command_line_takes_the_same_paths(spark: Any, place: Place) -> None:
    root = f"{place.url}/line"
    for number in (5, 7):
        dlcache.cache(_rows(spark, 0, number), f"{root}/{number}", progress=False, storage_options=place.options)

    def dlcache_command(*arguments: str) -> Any:
        script = "import json, sys, io, contextlib\nfrom dlcache import cli\n"
        script += "results = []\n"
        script += "for line in json.loads(sys.argv[1]):\n"
        script += "    out = io.StringIO()\n"
        script += "    sys.argv = ['dlcache', *line]\n"
        script += "    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):\n"
        script += "        cli.main()\n"
        script += "    results.append(json.loads(out.getvalue()))\n"
        script += "print(json.dumps(results))\n"
        lines = json.dumps([[*line.split("|"), "--json"] for line in arguments])
        package = str(Path(dlcache.__file__).parent.parent)
        environment = {**os.environ, **place.environment, "PYTHONPATH": package}
        done = subprocess.run(
            [sys.executable, "-c", script, lines], capture_output=True, text=True, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    listed, verified, explained, collected, removed, left = dlcache_command(
        f"ls|{root}", f"verify|{root}/5", f"explain|{root}/5", f"gc|{root}", f"rm|{root}/5", f"ls|{root}"
    )
    assert [(dataset["path"], dataset["rows"]) for dataset in listed["datasets"]] == [
        (f"{root}/5", 5),
        (f"{root}/7", 7),
    ]
    assert verified["datasets"][0]["problems"] == []
    assert explained["other"] == f"{root}/7"
    assert collected["bytes"] == 0
    assert removed["datasets"][0]["deleted"]
    assert [dataset["rows"] for dataset in left["datasets"]] == [7]


def test_a_store_that_cannot_create_exclusively_is_refused_before_the_job(
    spark: Any, jobs: Any, places: dict[str, Place]
) -> None:
    bucket = f"{BUCKET}-without"
    fs.S3FileSystem(**places["s3"].options, allow_bucket_creation=True).create_dir(bucket)

    def write() -> None:
        with pytest.raises(dlcache.WriteError) as refused:
            dlcache.cache(_rows(spark, 0, 5), f"s3a://{bucket}/x", progress=False, storage_options=places["s3"].options)
        assert refused.value.condition == "DLCACHE_STORE_UNSUPPORTED"
        assert "fs.s3a.create.conditional.enabled" in str(refused.value)

    assert jobs.of(write)[1] == 0
    assert Files.of(f"s3a://{bucket}/x", places["s3"].options).entries() == []


def test_refused_credentials_are_an_error_without_the_secret(places: dict[str, Place]) -> None:
    wrong = {**places["s3"].options, "secret_key": "a-wrong-secret-key"}
    with pytest.raises(dlcache.StorageError, match="credentials") as refused:
        dlcache.load(f"s3a://{BUCKET}/datasets/x", storage_options=wrong)
    assert f"s3a://{BUCKET}/datasets/x" in str(refused.value)
    assert "a-wrong-secret-key" not in str(refused.value)
    with pytest.raises(dlcache.StorageError, match="bucket"):
        dlcache.load("s3a://no-such-bucket/x", storage_options=places["s3"].options)


# The calls in which a publication of version 2 is made, or thrown in, and the first ones behind it.
MANIFEST = f"{2:020d}.json"
NIO = "java.nio.file.Files"
LINK = (NIO, "createLink", MANIFEST)
NO_LINKS = (*LINK, "java.lang.UnsupportedOperationException")
RENAME = ("org.apache.hadoop.fs.FileContext", "rename", MANIFEST)
PUT = ("org.apache.hadoop.fs.s3a.WriteOperationHelper", "putObject", MANIFEST)
TEMPORARY, CLAIM, LEASE = r"\.[0-9a-f-]{36}\.tmp", rf"\.{MANIFEST}\.claim", "leases/.*"


@pytest.mark.parametrize(
    ("where", "calls", "published", "left"),
    [
        ("local", [(*LINK, "stop")], False, [TEMPORARY]),
        ("local", [(*LINK, "pass"), (NIO, "deleteIfExists", ".tmp", "stop")], True, [TEMPORARY]),
        ("local", [NO_LINKS, (NIO, "move", MANIFEST, "stop")], False, [TEMPORARY, CLAIM]),
        ("local", [NO_LINKS, (NIO, "deleteIfExists", ".claim", "stop")], True, [CLAIM]),
        ("hdfs", [(*RENAME, "stop")], False, [TEMPORARY]),
        (
            "hdfs",
            [(*RENAME, "pass"), ("org.apache.hadoop.hdfs.DistributedFileSystem", "delete", ".tmp", "stop")],
            True,
            [],
        ),
        ("s3", [(*PUT, "stop")], False, []),
    ],
    ids=["link", "linked", "move under a claim", "moved under a claim", "rename", "renamed", "put"],
)
def test_a_driver_is_killed_in_the_call_that_publishes(
    where: str,
    calls: list[tuple[str, str, str, str]],
    published: bool,
    left: list[str],
    spark: Any,
    places: dict[str, Place],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """It is stopped by a debugger in that call, and killed there."""
    place = _place(where, places)
    path = f"{place.url}/killed {request.node.callspec.id}"
    dlcache.cache(_rows(spark, 0, 20), path, progress=False, storage_options=place.options)
    conf = {f"spark.hadoop.{name}": value for name, value in place.hadoop.items()}
    conf["spark.hadoop.fs.defaultFS"] = "file:///"  # not what the servers' HADOOP_CONF_DIR says
    with _cluster.Stopper(tmp_path, *calls) as stopper:
        conf |= {"spark.driver.extraJavaOptions": stopper.jvm_option, "spark.jars": spark.conf.get("spark.jars")}
        with _cluster.Driver("local[1]", tmp_path, place.environment, **conf) as victim:
            victim.ask("write", first=1000, count=8, partitions=1, path=path, mode="overwrite")
            stopper.wait(victim)
            victim.kill()
            _cluster.ended(victim.jvm)

    def load(version: int | None = None) -> dlcache.Dataset:
        return dlcache.load(path, version=version, storage_options=place.options)

    old, new = list(range(20)), list(range(1000, 1008))
    assert _ids(load()) == (new if published else old)
    assert _ids(load(version=1)) == old
    manifests = [f"{version:020d}\\.json" for version in ([1, 2] if published else [1])]
    folder = sorted(name.removeprefix("_dlcache/") for name in place.files(path) if name.startswith("_dlcache/"))
    patterns = [*manifests, *left, LEASE]
    assert len(folder) == len(patterns)
    assert all(any(re.fullmatch(pattern, name) for pattern in patterns) for name in folder), folder

    dlcache.gc(path, retention=0, grace=0, storage_options=place.options)
    dataset = load()
    assert _ids(dataset) == (new if published else old)
    assert sorted(place.files(path)) == sorted(
        [f"_dlcache/{dataset.version:020d}.json", *dataset.manifest.shards.paths]
    )
    again = dlcache.cache(_rows(spark, 0, 5), path, mode="overwrite", progress=False, storage_options=place.options)
    assert (again.version, _ids(again)) == (dataset.version + 1, list(range(5)))
