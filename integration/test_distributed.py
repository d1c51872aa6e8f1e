"""Real process groups: every run is compared with that of one process, which has the same global batch."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache

HERE = Path(__file__).parent
# The package of this checkout, installed or not.
PATHS = [str(HERE.parent / "python"), str(HERE)]
ROWS = 203
STEPS = 9  # of 24 rows, the last one with 13 of padding


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    y = x @ np.array([1, -2, 0.5, 3], np.float32) + 0.1 * random.normal(size=ROWS).astype(np.float32)
    table = pa.table({"id": np.arange(ROWS), "x": pa.array(x.tolist(), pa.list_(pa.float32())), "y": y})
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=70, row_group_rows=16))


def run_together(commands: list[list[str]], environments: list[dict[str, str]]) -> list[str]:
    """Run processes until all have ended well, and return what they printed. If one fails, all are killed, with what
    they started."""
    base = {key: value for key, value in os.environ.items() if key not in ("TF_CONFIG", "RANK", "WORLD_SIZE")}
    base |= {"PYTHONPATH": os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    base |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    processes: list[subprocess.Popen[str]] = []

    def result(process: subprocess.Popen[str]) -> str:
        printed = process.communicate(timeout=300)[0]
        if process.returncode:
            raise AssertionError(f"{process.args!r} ended with {process.returncode}:\n{printed[-6000:]}")
        return printed

    with ThreadPoolExecutor(len(commands)) as threads:
        try:
            for command, environment in zip(commands, environments, strict=True):
                processes.append(
                    subprocess.Popen(
                        [sys.executable, *command],
                        env=base | environment,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        start_new_session=True,
                    )
                )
            printed = [threads.submit(result, process) for process in processes]
            done, _ = wait(printed, return_when=FIRST_EXCEPTION)
            failed = [future for future in done if future.exception() is not None]
        finally:
            for process in processes:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
    return [future.result() for future in failed or printed]


def saw(folder: Path, ranks: int) -> list[dict[str, Any]]:
    """What each rank wrote, in the order of the ranks."""
    assert sorted(path.name for path in folder.glob("*.json")) == [f"{rank}.json" for rank in range(ranks)]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


def global_batches(ranks: list[dict[str, Any]]) -> list[list[int]]:
    return [list(chain(*step)) for step in zip(*(rank["rows"] for rank in ranks), strict=True)]


# PyTorch


@pytest.fixture(scope="module")
def alone(dataset: dlcache.Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The training of one process."""
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("alone")
    run_together([[str(HERE / "_train_torch.py"), dataset.path, str(out), "0"]], [{}])
    one = saw(out, 1)[0]
    assert len(one["rows"]) == 2 * STEPS
    for epoch in (one["rows"][:STEPS], one["rows"][STEPS:]):
        assert sorted(chain(*epoch))[:ROWS] != list(range(ROWS))  # the padding repeats rows
        assert sorted(list(chain(*epoch))[:ROWS]) == list(range(ROWS))
    return one


def assert_same_training(ranks: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    assert global_batches(ranks) == alone["rows"]
    losses = np.mean([rank["losses"] for rank in ranks], axis=0)
    np.testing.assert_allclose(losses, alone["losses"], rtol=1e-4)
    for rank in ranks:
        assert rank["evaluated"] == alone["evaluated"] == ROWS
        assert rank["mse"] == pytest.approx(alone["mse"], rel=1e-4)


@pytest.mark.parametrize(("processes", "workers"), [(2, 1), (4, 0)])
def test_torchrun(
    dataset: dlcache.Dataset, alone: dict[str, Any], tmp_path: Path, processes: int, workers: int
) -> None:
    """DistributedDataParallel, with a worker process of a DataLoader in each rank and without."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    script = [str(HERE / "_train_torch.py"), dataset.path, str(tmp_path), str(workers)]
    run_together([[*launcher, *script]], [{}])
    assert_same_training(saw(tmp_path, processes), alone)


# TorchDistributor leaves the pipe of its processes open.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
def test_the_torch_distributor_of_spark(
    spark: Any, dataset: dlcache.Dataset, alone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset travels in the pickled function."""
    from pyspark.ml.torch.distributor import TorchDistributor

    def main(dataset: dlcache.Dataset, out: str) -> int:
        ranks: int = import_module("_train_torch").train(dataset, out)
        return ranks

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    distributor = TorchDistributor(num_processes=2, local_mode=True, use_gpu=False)
    assert distributor.run(main, dataset, str(tmp_path)) == 2
    assert_same_training(saw(tmp_path, 2), alone)


# TensorFlow


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_keras_on_a_cluster_of_two_workers(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    """`fit` and `evaluate` under a MultiWorkerMirroredStrategy: each worker reads its own rows, in as many steps."""
    pytest.importorskip("tf_keras")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    environments = [{}, *({"TF_CONFIG": json.dumps(config)} for config in configs)]
    commands = []
    for folder in ("alone", "together", "together"):
        (tmp_path / folder).mkdir(exist_ok=True)
        commands.append([str(HERE / "_train_keras.py"), dataset.path, str(tmp_path / folder)])
    run_together(commands, environments)
    (alone,), ranks = saw(tmp_path / "alone", 1), saw(tmp_path / "together", 2)
    assert len(alone["rows"]) >= 2 * STEPS
    for rank in ranks:
        assert len(rank["steps"]) == len(alone["steps"]) == 2 * STEPS
        assert {len(rows) for rows in rank["rows"]} == {12}
        np.testing.assert_allclose(rank["losses"], alone["losses"], rtol=1e-4)
        assert rank["mse"] == pytest.approx(rank["exact"], rel=1e-5)
        assert rank["mse"] == pytest.approx(alone["mse"], rel=1e-4)
    assert global_batches(ranks)[: 2 * STEPS] == alone["rows"][: 2 * STEPS]
    evaluated = list(chain(*global_batches([{"rows": rank["evaluated"]} for rank in ranks])))
    assert evaluated[:ROWS] == list(range(ROWS))


# docs/distributed.md


def snippet(heading: str) -> str:
    """The Python code under a heading of docs/distributed.md."""
    text = (HERE.parent / "docs" / "distributed.md").read_text()
    found = re.search(rf"^## {heading}\n.*?```python\n(.*?)```", text, re.M | re.S)
    assert found, heading
    return found[1]


def test_the_torchrun_of_the_documentation(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(snippet("torchrun"))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    (printed,) = run_together([[*launcher, str(tmp_path / "train.py"), dataset.path]], [{}])
    assert re.search(rf"^mse \d+\.\d+ of {ROWS} rows$", printed, re.M)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
def test_the_torch_distributor_of_the_documentation(
    spark: Any, dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")]))
    names: dict[str, Any] = {"dlcache": dlcache, "path": dataset.path, "__name__": "__main__"}
    exec(snippet("Spark's TorchDistributor"), names)
    assert names["steps"] == STEPS


def test_the_keras_of_the_documentation(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    """As the only worker of a cluster."""
    pytest.importorskip("tf_keras")
    (tmp_path / "train.py").write_text(snippet("Keras on a cluster of workers"))
    config = {"cluster": {"worker": [f"127.0.0.1:{free_ports(1)[0]}"]}, "task": {"type": "worker", "index": 0}}
    command = [str(tmp_path / "train.py"), dataset.path]
    (printed,) = run_together([command], [{"TF_CONFIG": json.dumps(config)}])
    assert re.search(r"^mse \d+\.\d+$", printed, re.M)
