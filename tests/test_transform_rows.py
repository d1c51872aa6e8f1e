"""Functions on rows, on tensors, and in processes of their own."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _tables import delivered, table
from _writer import write

import dlcache
from dlcache import OptionError, Ragged, TransformError, TransformSpec
from dlcache.grain import GrainSource

ROWS = 100


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    source = table(["tensor", "ragged", "string", "binary"], ROWS).append_column("id", pa.array(np.arange(ROWS)))
    return dlcache.load(write(tmp_path_factory.mktemp("rows"), source, shard_rows=40))


def one_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "half": row["id"] / 2,
        "sum": row["tensor"].sum(),
        "tail": row["ragged"][1:],
        "text": f"{row['string']}{len(row['binary'])}",
        "pair": np.stack([row["tensor"], -row["tensor"]]),
    }


def spec(processes: int, function: Any = one_row, **options: Any) -> TransformSpec:
    return TransformSpec.rows(function, num_processes=processes, **options)


@pytest.mark.parametrize(("processes", "threads"), [(0, 0), (0, 2), (1, 0), (2, 2)])
def test_a_function_on_rows(dataset: dlcache.Dataset, processes: int, threads: int) -> None:
    plain = dataset.numpy(16, shuffle=True, threads=0)
    loader = dataset.numpy(16, shuffle=True, transform=spec(processes), threads=threads)
    assert loader.element_spec["pair"].shape == (None, 2, 6)
    assert loader.element_spec["text"].kind == "text"
    assert loader.element_spec["half"].dtype == np.float64
    for batch, made in zip(plain, loader, strict=True):
        assert np.array_equal(made["id"], batch["id"])
        assert np.array_equal(made["half"], batch["id"] / 2)
        assert np.array_equal(made["sum"], np.array([row.sum() for row in batch["tensor"]]))
        assert isinstance(made["tail"], Ragged)
        assert delivered(made["tail"]) == [row[1:] for row in delivered(batch["ragged"])]
        expected = [f"{text}{len(raw)}" for text, raw in zip(batch["string"], batch["binary"], strict=True)]
        assert made["text"].tolist() == expected
        assert np.array_equal(made["pair"][:, 1], -batch["tensor"])


def test_declared_dtypes_of_rows(dataset: dlcache.Dataset) -> None:
    declared = [("x", np.float32, ()), ("n", np.int8, ()), ("v", np.float64, (2,))]

    def function(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": float(row["id"]), "n": 3, "v": [0.0, row["tensor"][0]]}

    transform = TransformSpec.rows(function, declared, selected_fields=["x", "n", "v"])
    fields = transform.check(dataset)
    assert [fields[name].dtype for name in ("x", "n", "v")] == [np.float32, np.int8, np.float64]
    batch = dataset.numpy(8, transform=transform).batch_at(1)
    assert batch["x"].dtype == np.float32
    assert batch["x"].tolist() == list(range(8, 16))
    wrong = TransformSpec.rows(lambda row: {"x": row["tensor"][0]}, [("x", np.int64, ())], selected_fields=["x"])
    with pytest.raises(TransformError, match=r"'x'.*float32.*int64"):
        wrong.check(dataset)


class OddError(Exception):
    """Cannot be unpickled: it wants two arguments."""

    def __init__(self, what: str, row: int) -> None:
        super().__init__(f"{what} {row}")


def fails(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 57:
        raise ValueError("cannot decode")
    return {"id": row["id"]}


def fails_oddly(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 57:
        raise OddError("odd", 57)
    return {"id": row["id"]}


def children() -> set[str]:
    """The processes that this one has started and that are there."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= set((task / "children").read_text().split())
    return found


def sockets() -> set[str]:
    return {link for file in Path("/proc/self/fd").iterdir() if (link := _link(file)).startswith("socket:")}


def _link(file: Path) -> str:
    try:
        return os.readlink(file)
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize(("processes", "threads"), [(0, 0), (0, 2), (1, 0), (2, 2)])
def test_an_error_names_the_row(dataset: dlcache.Dataset, processes: int, threads: int) -> None:
    before, alive = threading.active_count(), children() if sys.platform == "linux" else set()
    loader = dataset.numpy(8, transform=spec(processes, fails), threads=threads)
    with pytest.raises(TransformError, match="step 7 of epoch 0, row 57: ValueError: cannot decode") as caught:
        list(loader)
    cause: BaseException | None = caught.value.__cause__
    assert isinstance(cause, ValueError)
    if processes:
        assert "in fails" in str(cause.__cause__)
    assert threading.active_count() <= before
    if sys.platform == "linux":
        assert children() <= alive
    shuffled = dataset.numpy(8, shuffle=True, seed=3, transform=spec(0, fails), threads=threads)
    with pytest.raises(TransformError, match="row 57: ValueError"):
        list(shuffled)


def test_an_error_that_cannot_be_sent_is_still_told(dataset: dlcache.Dataset) -> None:
    with pytest.raises(TransformError, match="row 57: WorkerError: OddError: odd 57") as caught:
        list(dataset.numpy(8, transform=spec(1, fails_oddly)))
    assert caught.value.__cause__ is not None
    assert "in fails_oddly" in str(caught.value.__cause__.__cause__)


def dies(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 57:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"id": row["id"]}


def exits(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 57:
        os._exit(3)
    return {"id": row["id"]}


@pytest.mark.parametrize(("function", "how"), [(dies, "SIGKILL"), (exits, "status 3")])
def test_a_worker_that_is_gone_is_an_error(dataset: dlcache.Dataset, function: Any, how: str) -> None:
    before = threading.active_count()
    loader = dataset.numpy(8, transform=spec(1, function, edit_fields=[], selected_fields=["id"]), columns=["id"])
    with pytest.raises(TransformError, match=rf"{how}.*step 7 of epoch 0, rows 56 \.\. 63"):
        list(loader)
    assert threading.active_count() <= before


def whose(batch: dict[str, Any]) -> dict[str, Any]:
    return {"id": batch["id"], "process": np.full(len(batch["id"]), os.getpid())}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_processes_end_with_the_iteration(dataset: dlcache.Dataset) -> None:
    alive = children()
    open_sockets = sockets()
    loader = dataset.numpy(4, transform=TransformSpec(whose, num_processes=2), epochs=None)
    iterator = iter(loader)
    seen = {int(next(iterator)["process"][0]) for _ in range(40)}
    assert os.getpid() not in seen
    assert {str(pid) for pid in seen} <= children()
    iterator.close()  # type: ignore[attr-defined]
    del iterator
    assert children() <= alive
    loader.batch_at(3)
    assert len(children() - alive) == 1
    del loader
    gc.collect()
    assert children() <= alive
    assert sockets() <= open_sockets


class Gate:
    """A function that stops at one row until it is killed, or until somebody opens the gate."""

    def __init__(self, folder: Path) -> None:
        self.reached, self.opened = folder / "reached", folder / "opened"
        for pipe in (self.reached, self.opened):
            os.mkfifo(pipe)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        if 8 in batch["id"] and self.reached.exists():
            self.reached.write_bytes(b"")
            self.opened.read_bytes()
        return {"id": batch["id"]}

    def interrupt(self, call: Callable[[], object]) -> None:
        """Interrupt a call, as Ctrl-C does, while it is at the gate."""

        def kill() -> None:
            self.reached.read_bytes()
            self.reached.unlink()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            call()
        thread.join()
        with suppress(OSError):  # the worker is gone
            os.close(os.open(self.opened, os.O_WRONLY | os.O_NONBLOCK))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("way", ["batch_at", "take", "map-style", "grain", "iteration"])
def test_an_interrupted_call_answers_no_other(dataset: dlcache.Dataset, tmp_path: Path, way: str) -> None:
    gate = Gate(tmp_path)
    spec = TransformSpec(gate, edit_fields=[], num_processes=1)
    one = dataset.select(["id"])
    loader = one.numpy(8, transform=spec)
    ways: dict[str, Callable[[int], list[int]]] = {
        "batch_at": lambda step: loader.batch_at(step)["id"].tolist(),
        "take": lambda step: loader.take(range(8 * step, 8 * step + 8))["id"].tolist(),
        "iteration": lambda step: next(batch["id"].tolist() for batch in loader if 8 * step in batch["id"]),
    }
    if way == "map-style":
        pytest.importorskip("torch")
        rows = pytest.importorskip("dlcache.torch").TorchDataset(one, transform=spec)
        ways[way] = lambda step: rows[8 * step : 8 * step + 8]["id"].tolist()
    if way == "grain":
        source = GrainSource(one, transform=spec)
        ways[way] = lambda step: [int(row["id"]) for row in source[8 * step : 8 * step + 8]]
    gate.interrupt(lambda: ways[way](1))
    for step in (5, 1, 0):
        assert ways[way](step) == list(range(8 * step, 8 * step + 8))


def test_the_call_after_a_lost_worker_works(dataset: dlcache.Dataset) -> None:
    loader = dataset.select(["id"]).numpy(8, transform=spec(1, dies, edit_fields=[]))
    assert loader.batch_at(0)["id"].tolist() == [*range(8)]
    with pytest.raises(TransformError, match="ended by SIGKILL"):
        loader.batch_at(7)
    assert loader.batch_at(5)["id"].tolist() == [*range(40, 48)]


def test_functions_of_all_kinds_cross(dataset: dlcache.Dataset) -> None:
    pytest.importorskip("cloudpickle")
    factor = 3

    def closure(batch: dict[str, Any]) -> dict[str, Any]:
        return {"x": batch["tensor"] * np.float32(factor), "ragged": batch["ragged"], "string": batch["string"]}

    plain = dataset.numpy(16).batch_at(0)
    made = dataset.numpy(16, transform=TransformSpec(closure, num_processes=1)).batch_at(0)
    assert np.array_equal(made["x"], plain["tensor"] * np.float32(3))
    assert made["x"].flags.writeable
    assert np.array_equal(made["ragged"].values, plain["ragged"].values)
    assert made["string"].tolist() == plain["string"].tolist()
    lock = threading.Lock()
    with pytest.raises(OptionError, match="cannot be sent"):
        list(dataset.numpy(transform=TransformSpec(lambda batch: (lock, batch)[1], [], num_processes=1)))


def test_batches_of_tensors(dataset: dlcache.Dataset) -> None:
    torch = pytest.importorskip("torch")

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        assert isinstance(batch["tensor"], torch.Tensor)
        assert isinstance(batch["string"], list)
        doubled = torch.nested.nested_tensor_from_jagged(batch["ragged"].values() * 2, batch["ragged"].offsets())
        return {"x": batch["tensor"] * 2, "ragged": doubled, "string": batch["string"], "id": batch["id"]}

    plain = dataset.numpy(16)
    for made, batch in zip(dataset.numpy(16, transform=TransformSpec(function, input="torch")), plain, strict=True):
        assert np.array_equal(made["x"], batch["tensor"] * 2)
        assert np.array_equal(made["ragged"].values, batch["ragged"].values * 2)
        assert np.array_equal(made["ragged"].offsets, batch["ragged"].offsets)
        assert made["string"].tolist() == batch["string"].tolist()
    tensors = next(iter(dataset.torch(16, transform=TransformSpec(function, input="torch"))))
    assert torch.equal(tensors["id"], torch.arange(16))
    for returned in ([1], {"x": torch.zeros(16, dtype=torch.bfloat16)}):
        with pytest.raises(TransformError, match=r"list|bfloat16"):
            TransformSpec(lambda _, r=returned: r, input="torch").check(dataset)  # type: ignore[misc]


@pytest.mark.parametrize("returned", [None, 3, [{"id": 1}]])
def test_a_row_must_become_a_row(dataset: dlcache.Dataset, returned: Any) -> None:
    with pytest.raises(TransformError, match=r"row 0: TransformError: .*changes_rows"):
        TransformSpec.rows(lambda _: returned).check(dataset)


def test_rows_must_have_the_same_fields(dataset: dlcache.Dataset) -> None:
    with pytest.raises(TransformError, match=r"row 1: .*'b'"):
        TransformSpec.rows(lambda row: {"a" if row["id"] == 0 else "b": 1}).check(dataset)
