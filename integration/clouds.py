"""What `test_storage.py` shows of the other stores, on emulators of Google Cloud Storage and Azure.

They need Go and npm, so `make test` leaves them out: `make test-clouds` runs them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration import _servers
from integration.test_storage import (
    BUCKET,
    MANIFEST,
    Place,
    _ids,
    _rows,
    test_appends_at_the_same_time_are_all_there,
    test_forked_workers_read_it,
    test_the_command_line_takes_the_same_paths,
    test_the_life_of_a_dataset,
    test_training_reads_it,
)
from integration.test_storage import test_a_driver_is_killed_in_the_call_that_publishes as driver_killed
from pyarrow import fs
from torch.utils.data import DataLoader

import dlcache

__all__ = [
    "test_appends_at_the_same_time_are_all_there",
    "test_forked_workers_read_it",
    "test_the_command_line_takes_the_same_paths",
    "test_the_life_of_a_dataset",
    "test_training_reads_it",
]


@pytest.fixture(scope="session")
def store_jars() -> list[Path]:
    return [*_servers.jars("gs"), *_servers.jars("abfs", _servers.hadoop_version())]


@pytest.fixture(scope="module")
def place(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with _servers.fake_gcs() as port:
        options = {"endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "anonymous": True}
        fs.GcsFileSystem(**options, project_id="local").create_dir(BUCKET)
        conf = {
            "fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
            "fs.gs.block.size": str(
                64 << 20
            ),  # Hadoop 3.5 has another default, which the connector does not understand
            "fs.gs.storage.root.url": f"http://127.0.0.1:{port}/",
            "fs.gs.auth.type": "UNAUTHENTICATED",
            "fs.gs.project.id": "local",
        }
        for name, value in conf.items():
            spark.sparkContext._jsc.hadoopConfiguration().set(name, value)
        environment = {
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": f"http://127.0.0.1:{port}",
            "GOOGLE_APPLICATION_CREDENTIALS": str(_service_account(tmp_path_factory.mktemp("account"))),
        }
        yield Place(f"gs://{BUCKET}/datasets", options, environment, conf)


def _service_account(folder: Path) -> Path:
    """The key file of an account, with which nobody but the emulator lets anyone in."""
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
    account = {"type": "service_account", "client_email": "local@local", "private_key_id": "1", "private_key": key}
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    return path


def test_the_second_of_two_uploads_is_refused_by_the_store(spark: Any, place: Place) -> None:
    """Both have begun before either ends, so that no look at what is there can tell them."""
    path = spark.sparkContext._jvm.org.apache.hadoop.fs.Path(f"{place.url}/one name")
    files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    first, second = files.create(path, False), files.create(path, False)
    first.write(bytearray(b"first"))
    second.write(bytearray(b"second"))
    first.close()
    with pytest.raises(Exception, match="412"):
        second.close()
    with fs.GcsFileSystem(**place.options).open_input_file(f"{BUCKET}/datasets/one name") as file:
        assert file.read() == b"first"


@pytest.mark.parametrize("begun", [False, True], ids=["create", "upload"])
def test_a_driver_is_killed_in_the_call_that_publishes(
    begun: bool, spark: Any, place: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Before it, and when the connector has begun the upload and sent none of the bytes."""
    package = "com.google.cloud.hadoop.fs.gcs"
    create = (f"{package}.GoogleHadoopFileSystem", "create", MANIFEST, "pass" if begun else "stop")
    channel = "com.google.cloud.hadoop.repackaged.gcs.com.google.cloud.hadoop.util.AbstractGoogleAsyncWriteChannel"
    write = [(channel, "write", "", "stop")] if begun else []
    driver_killed("gs", [create, *write], False, [], spark, {"gs": place}, request, tmp_path)


@pytest.fixture(scope="module")
def azure(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    account, key = "devstoreaccount1", _servers.AZURITE_KEY
    with _servers.azurite(tmp_path_factory.mktemp("azurite") / "data") as port:
        options = {"account_name": account, "account_key": key}
        for service in ("blob", "dfs"):
            options |= {f"{service}_storage_authority": f"127.0.0.1:{port}", f"{service}_storage_scheme": "http"}
        fs.AzureFileSystem(**options).create_dir(BUCKET)
        host = f"{account}.dfs.core.windows.net"
        conf = {
            "fs.azure.abfs.endpoint": f"127.0.0.1:{port}",
            "fs.azure.always.use.https": "false",
            "fs.azure.networking.library": "JDK_HTTP_URL_CONNECTION",  # the other has no HTTP without TLS
            "fs.azure.fns.account.service.type": "BLOB",
            "fs.azure.account.hns.enabled": "false",
            f"fs.azure.account.key.{host}": key,
        }
        for name, value in conf.items():
            spark.sparkContext._jsc.hadoopConfiguration().set(name, value)
        yield Place(f"abfs://{BUCKET}@{host}/datasets", options, {}, conf)


def test_both_read_from_azure_what_was_written_elsewhere(spark: Any, azure: Place, tmp_path: Path) -> None:
    """Spark publishes nothing there: the emulator has no hierarchical namespace."""
    path, options = f"{azure.url}/of ü%20x", azure.options
    dlcache.cache(_rows(spark, 0, 64), tmp_path / "x", progress=False)
    dlcache.cache(_rows(spark, 64, 80), tmp_path / "x", mode="append", progress=False)
    remote = fs.AzureFileSystem(**options)
    fs.copy_files(str(tmp_path / "x"), f"{BUCKET}/datasets/of ü%20x", destination_filesystem=remote)

    assert sorted(row.id for row in spark.read.format("dlcache").load(path).collect()) == list(range(80))
    dataset = dlcache.load(path, storage_options=options)
    assert (dataset.version, _ids(dataset)) == (2, list(range(80)))
    assert _ids(dlcache.load(path, version=1, storage_options=options)) == list(range(64))
    for batches in (dataset.torch(16, shuffle=True), dataset.tf(16, shuffle=True)):
        rows = {
            int(number): tuple(row)
            for batch in batches
            for number, row in zip(batch["id"], batch["features"], strict=True)
        }
        assert rows == {number: (number, number + 0.5, -number) for number in range(80)}
    workers = DataLoader(dataset.torch(16, columns=["id"]), batch_size=None, num_workers=2)
    assert sorted(int(number) for batch in workers for number in batch["id"]) == list(range(80))
    assert dlcache.verify(path, storage_options=options, pages=True)

    report = dlcache.gc(path, retention=0, grace=0, storage_options=options)
    assert {removal.path for removal in report.datasets[0].removed} == {f"_dlcache/{1:020d}.json"}
    with dlcache.load(path, storage_options=options) as held:
        with pytest.raises(dlcache.InUseError):
            dataset.delete()
        assert len([name for name in azure.files(path) if "/leases/" in name]) == 1
        assert _ids(held) == list(range(80))
    dataset.delete()
    assert azure.files(path) == []
    with pytest.raises(dlcache.NotADatasetError):
        dlcache.load(path, storage_options=options)


def test_azure_without_a_hierarchical_namespace_is_refused_before_the_job(spark: Any, jobs: Any, azure: Place) -> None:
    def write() -> None:
        with pytest.raises(dlcache.WriteError) as refused:
            dlcache.cache(_rows(spark, 0, 5), f"{azure.url}/flat", progress=False, storage_options=azure.options)
        assert refused.value.condition == "DLCACHE_STORE_UNSUPPORTED"
        assert "hierarchical namespace" in str(refused.value)

    assert jobs.of(write)[1] == 0
    assert azure.files(f"{azure.url}/flat") == []


def test_azure_s_refusal_is_an_error_without_the_secret(azure: Place) -> None:
    wrong = {**azure.options, "account_key": "YSB3cm9uZyBrZXk="}
    with pytest.raises(dlcache.StorageError, match="credentials") as refused:
        dlcache.load(f"{azure.url}/x", storage_options=wrong)
    assert wrong["account_key"] not in str(refused.value)
