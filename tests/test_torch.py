"""PyTorch: tensors over the batch's memory, each row once under any number of ranks and workers, exact resumption."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")

from _writer import write  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.utils.data import BatchSampler, DataLoader, RandomSampler  # noqa: E402

import dlcache  # noqa: E402
import dlcache.torch as adapter  # noqa: E402

ROWS = 203

# PyTorch warns of more worker processes than the machine has cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    ids = np.arange(ROWS)
    table = pa.table(
        {
            "id": ids,
            "x": pa.array((ids[:, None] * 10 + np.arange(3)).tolist(), pa.list_(pa.float32())),
            "name": [f"row {i}" for i in ids],
            "raw": [bytes([i % 256]) * (i % 3) for i in ids],
            "ragged": pa.array([[float(i)] * (i % 4) for i in ids], pa.list_(pa.float64())),
            "flag": ids % 2 == 0,
            "twice": ids * 2,
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=70, row_group_rows=16))


def ids_of(batches: Any) -> list[int]:
    return [int(i) for batch in batches for i in batch["id"]]


# What a batch is


def test_tensors_share_the_memory_of_the_batch(dataset: dlcache.Dataset) -> None:
    for shuffle in (False, True):
        loader = dataset.torch(8, columns=["id", "x", "flag"], shuffle=shuffle)
        arrays = loader.batches(2)[0]
        tensors = loader.convert(arrays)
        for name, tensor in tensors.items():
            assert tensor.data_ptr() == arrays[name].__array_interface__["data"][0]
        batch = next(iter(loader))
        assert (batch["id"].dtype, batch["x"].dtype, batch["flag"].dtype) == (torch.int64, torch.float32, torch.bool)
        assert batch["x"].shape == (8, 3)
        batch["x"] += 1  # the consumer's own memory: the next epoch does not see it
        loader.set_epoch(0)
        assert torch.equal(next(iter(loader))["x"], batch["x"] - 1)


def test_strings_and_bytes_are_lists(dataset: dlcache.Dataset) -> None:
    batch = next(iter(dataset.torch(4, columns=["name", "raw"])))
    assert batch["name"] == ["row 0", "row 1", "row 2", "row 3"]
    assert batch["raw"] == [b"", b"\1", b"\2\2", b""]


def test_ragged_columns_are_jagged_or_padded(dataset: dlcache.Dataset) -> None:
    jagged = next(iter(dataset.torch(5, columns=["ragged"])))["ragged"]
    assert jagged.is_nested
    assert jagged.layout is torch.jagged
    assert [row.tolist() for row in jagged.unbind()] == [[], [1.0], [2.0] * 2, [3.0] * 3, []]
    for pad_to in (2, {"ragged": 2}):
        padded = next(iter(dataset.torch(5, columns=["ragged"], pad_to=pad_to)))["ragged"]
        assert padded.tolist() == [[0, 0], [1, 0], [2, 2], [3, 3], [0, 0]]


def test_outputs(dataset: dlcache.Dataset) -> None:
    features, label = next(iter(dataset.torch(4, output=("x", "id"))))
    assert features.shape == (4, 3)
    assert label.tolist() == [0, 1, 2, 3]
    batch = next(iter(dataset.torch(4, columns=["id", "x"], output="namedtuple")))
    assert batch._fields == ("id", "x")
    assert torch.equal(batch.id, label)


def test_stacked_columns_are_one_tensor(dataset: dlcache.Dataset) -> None:
    batch = next(iter(dataset.torch(4, columns=["name", "id", "twice"], stack={"both": ["id", "twice"]})))
    assert batch["both"].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6]]
    assert batch.keys() == {"name", "both"}


def test_a_transform_may_return_what_torch_cannot_share(dataset: dlcache.Dataset) -> None:
    def odd(batch: dict[str, Any]) -> dict[str, Any]:
        ids = batch["id"]
        return {
            "reversed": ids[::-1],
            "constant": np.broadcast_to(np.float32(3), (len(ids), 2)),
            "foreign": ids.astype(">i4"),
            "text": np.char.add("n", ids.astype(str)),
        }

    batch = next(iter(dataset.torch(3, columns=["id"], transform=odd)))
    assert batch["reversed"].tolist() == [2, 1, 0]
    assert batch["constant"].tolist() == [[3, 3]] * 3
    assert batch["foreign"].tolist() == [0, 1, 2]
    assert batch["text"] == ["n0", "n1", "n2"]


def test_a_dtype_without_tensors_is_an_error_that_names_the_column(dataset: dlcache.Dataset) -> None:
    loader = dataset.torch(3, columns=["id"], transform=lambda batch: {"when": batch["id"].astype("datetime64[s]")})
    with pytest.raises(dlcache.ColumnError, match=r"'when' has dtype datetime64\[s\]"):
        next(iter(loader))


@pytest.mark.filterwarnings("ignore:CUDA initialization:UserWarning")
def test_pinned_memory_without_cuda_is_no_error(dataset: dlcache.Dataset) -> None:
    batch = next(iter(dataset.torch(4, columns=["x"], pin_memory=True)))
    assert batch["x"].is_pinned() == torch.cuda.is_available()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pad_to": 0}, dlcache.OptionError, "pad_to must be a length"),
        ({"pad_to": {"raged": 3}}, dlcache.ColumnError, "did you mean 'ragged'"),
        ({"shufle": True}, dlcache.OptionError, "no option 'shufle' of Dataset.torch; did you mean 'shuffle'"),
        ({"batchsize": 3}, dlcache.OptionError, "did you mean 'batch_size'"),
        ({"padto": 3}, dlcache.OptionError, "did you mean 'pad_to'.* pin_memory, sparse, group"),
        ({"num_workers": 2}, dlcache.OptionError, r"threads=n\. For worker processes, use DataLoader"),
        ({"drop_last": True}, dlcache.OptionError, "use remainder='drop'"),
        ({"start_step": 2}, dlcache.OptionError, r"it is an option of Dataset\.tf"),
        ({"output": ("x", "idd")}, dlcache.ColumnError, "'idd'"),
    ],
)
def test_bad_options_are_refused_at_once(
    dataset: dlcache.Dataset, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dataset.torch(4, **options)


# Which rows: ranks, workers, epochs


def test_length_and_epochs(dataset: dlcache.Dataset) -> None:
    loader = dataset.torch(10, shuffle=True, columns=["id"])
    first, second = list(loader), list(loader)
    assert len(loader) == len(first) == len(DataLoader(loader, batch_size=None)) == 21
    assert ids_of(first) != ids_of(second)
    assert sorted(ids_of(first)) == sorted(ids_of(second)) == list(range(ROWS))
    assert len(dataset.torch(10, epochs=3)) == 63
    with pytest.raises(TypeError, match="epochs=None"):
        len(dataset.torch(10, epochs=None))


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_each_row_once_over_ranks_and_worker_processes(dataset: dlcache.Dataset, world_size: int) -> None:
    """The global batches are the same, row for row, whatever the number of workers."""
    batch_size = 24 // world_size
    usable = ROWS // (batch_size * world_size) * batch_size * world_size
    expected = None
    for workers in range(4):
        ranks = []
        for rank in range(world_size):
            loader = dataset.torch(
                batch_size, shuffle=True, seed=3, columns=["id"], rank=rank, world_size=world_size, remainder="drop"
            )
            stock = DataLoader(loader, batch_size=None, num_workers=workers)
            ranks.append([batch["id"].tolist() for batch in stock])
            assert len(ranks[-1]) == len(stock)
        steps = [list(chain(*parts)) for parts in zip(*ranks, strict=True)]
        assert expected is None or steps == expected
        expected = steps
        rows = list(chain(*steps))
        assert len(set(rows)) == len(rows) == usable


@pytest.mark.parametrize("remainder", ["drop", "pad", "mask"])
@pytest.mark.parametrize("world_size", range(1, 9))
def test_the_union_over_ranks_and_workers_is_the_epoch(
    dataset: dlcache.Dataset, world_size: int, remainder: Any
) -> None:
    for workers in range(1, 4):
        rows: list[int] = []
        for rank in range(world_size):
            for worker in range(workers):
                with as_worker(worker, workers):
                    loader = dataset.torch(
                        7,
                        shuffle=True,
                        columns=["id"],
                        rank=rank,
                        world_size=world_size,
                        remainder=remainder,
                        threads=0,
                    )
                    for batch in loader:
                        weight = batch.get("sample_weight", torch.ones(7))
                        rows += batch["id"][weight > 0].tolist()
        if remainder == "pad":
            assert len(rows) == -(-ROWS // (7 * world_size)) * 7 * world_size
            assert set(rows) == set(range(ROWS))
        else:
            assert len(rows) == len(set(rows))
            assert len(rows) == (ROWS if remainder == "mask" else ROWS // (7 * world_size) * 7 * world_size)


@settings(max_examples=60, deadline=None)
@given(
    batch_size=st.integers(1, 40),
    world_size=st.integers(1, 8),
    workers=st.integers(1, 5),
    remainder=st.sampled_from(["drop", "pad", "mask"]),
    epochs=st.integers(1, 3),
    shuffle=st.booleans(),
    data=st.data(),
)
def test_workers_share_the_steps_of_a_rank(
    dataset: dlcache.Dataset,
    batch_size: int,
    world_size: int,
    workers: int,
    remainder: Any,
    epochs: int,
    shuffle: bool,
    data: Any,
) -> None:
    rank = data.draw(st.integers(0, world_size - 1))
    options = {
        "columns": ["id"],
        "rank": rank,
        "world_size": world_size,
        "remainder": remainder,
        "epochs": epochs,
        "shuffle": shuffle,
        "threads": 0,
    }
    alone = [batch["id"].tolist() for batch in dataset.torch(batch_size, **options)]
    parts = []
    for worker in range(workers):
        with as_worker(worker, workers):
            parts.append([batch["id"].tolist() for batch in dataset.torch(batch_size, **options)])
    assert [parts[at % workers][at // workers] for at in range(len(alone))] == alone
    assert sum(map(len, parts)) == len(alone)


class as_worker:  # noqa: N801
    """Inside, this process is worker `number` of `workers` of a DataLoader."""

    def __init__(self, number: int, workers: int, seed: int = 1) -> None:
        self._info = SimpleNamespace(id=number, num_workers=workers, seed=seed + number)

    def __enter__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(adapter, "get_worker_info", lambda: self._info)

    def __exit__(self, *error: object) -> None:
        self._patch.undo()


def test_strings_and_ragged_columns_cross_worker_processes(dataset: dlcache.Dataset) -> None:
    loader = dataset.torch(50, columns=["name", "ragged"])
    for here, there in zip(loader, DataLoader(loader, batch_size=None, num_workers=2), strict=True):
        assert here["name"] == there["name"]
        assert [row.tolist() for row in here["ragged"].unbind()] == [row.tolist() for row in there["ragged"].unbind()]


def test_an_error_in_a_worker_process_reaches_the_consumer(dataset: dlcache.Dataset) -> None:
    def fail(batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no good")

    loader = dataset.torch(50, columns=["id"], transform=dlcache.TransformSpec(fail, edit_fields=[]))
    with pytest.raises(dlcache.TransformError, match="no good"):
        list(DataLoader(loader, batch_size=None, num_workers=1))


# Ranks of torch.distributed


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_the_rank_of_torch_distributed(
    dataset: dlcache.Dataset, process_group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    loader = dataset.torch(5)
    assert (loader.steps.rank, loader.steps.world_size, loader.steps.remainder) == (1, 4, "pad")
    assert dataset.torch(5, rank=1, world_size=4).steps == loader.steps
    with pytest.raises(dlcache.OptionError, match=r"rank=0 was given, and torch\.distributed says rank 1 of 4"):
        dataset.torch(5, rank=0, world_size=4)


# State


@settings(max_examples=40, deadline=None)
@given(batch_size=st.integers(5, 60), taken=st.integers(0, 90), data=st.data())
def test_resumption_is_exact(dataset: dlcache.Dataset, batch_size: int, taken: int, data: Any) -> None:
    options = {"shuffle": True, "columns": ["id"], "epochs": 2, "threads": 0}
    whole = ids_of(dataset.torch(batch_size, **options))
    loader = dataset.torch(batch_size, **options)
    taken = min(taken, len(loader) - 1)
    iterator = iter(loader)
    before = ids_of(next(iterator) for _ in range(taken))
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = dataset.torch(batch_size, **options)
    resumed.load_state_dict(state)
    through_pickle = pickle.loads(pickle.dumps(loader))
    assert before + ids_of(resumed) == whole
    assert before + ids_of(through_pickle) == whole


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_state_resumes_under_worker_processes_and_then_goes_on(dataset: dlcache.Dataset, workers: int) -> None:
    options = {"shuffle": True, "columns": ["id"]}
    loader = dataset.torch(20, **options)
    iterator = iter(loader)
    ids_of(next(iterator) for _ in range(4))
    resumed = dataset.torch(20, **options)
    resumed.load_state_dict(loader.state_dict())
    stock = DataLoader(resumed, batch_size=None, num_workers=workers)
    assert ids_of(stock) == ids_of(iterator)
    assert ids_of(stock) == ids_of(loader)


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(1, 4), taken=st.integers(0, 20), batch_size=st.integers(10, 60), epochs=st.integers(1, 2))
def test_the_states_of_worker_processes_resume_together(
    dataset: dlcache.Dataset, workers: int, taken: int, batch_size: int, epochs: int
) -> None:
    """What a stateful DataLoader does: it keeps the state of each worker, and which worker is next."""
    options = {"shuffle": True, "columns": ["id"], "epochs": epochs, "threads": 0}
    whole = [batch["id"].tolist() for batch in dataset.torch(batch_size, **options)]
    taken = min(taken, len(whole))
    parts = []
    for number in range(workers):
        with as_worker(number, workers):
            loader = dataset.torch(batch_size, **options)
            iterator = iter(loader)
            own = len(range(number, taken, workers))
            for _ in range(own):
                next(iterator)
            state = json.loads(json.dumps(loader.state_dict()))
            resumed = dataset.torch(batch_size, **options)
            resumed.load_state_dict(state)
            rest = [batch["id"].tolist() for batch in resumed]
        assert rest == whole[number + own * workers :: workers]
        parts.append(rest)
    assert sum(map(len, parts)) == len(whole) - taken


def test_the_state_of_a_worker_is_for_that_worker(dataset: dlcache.Dataset) -> None:
    with as_worker(1, 2):
        state = dataset.torch(10).state_dict()
    with pytest.raises(dlcache.StateError, match="worker process 1 of 2, and this is no worker process"):
        dataset.torch(10).load_state_dict(state)


# Map-style


def test_rows_by_index(dataset: dlcache.Dataset) -> None:
    rows = adapter.TorchDataset(dataset, columns=["id", "x", "name"])
    assert len(rows) == ROWS
    row = rows[7]
    assert (int(row["id"]), row["x"].tolist(), row["name"]) == (7, [70, 71, 72], "row 7")
    assert int(rows[-1]["id"]) == ROWS - 1
    fetched = rows.__getitems__([5, 1, 5])
    assert [int(row["id"]) for row in fetched] == [5, 1, 5]
    with pytest.raises(IndexError, match=f"0 .. {ROWS - 1}; got {ROWS}"):
        rows[ROWS]


@pytest.mark.parametrize("workers", [0, 2])
def test_samplers(dataset: dlcache.Dataset, workers: int) -> None:
    rows = adapter.TorchDataset(dataset, columns=["id", "x", "ragged", "name"], output=("id", "name", "ragged", "x"))
    for collate in (adapter.TorchDataset.collate, None):
        part = rows if collate else adapter.TorchDataset(dataset, columns=["id", "name"], output=("id", "name"))
        seen: list[int] = []
        for batch in DataLoader(part, batch_size=32, shuffle=True, num_workers=workers, collate_fn=collate):
            assert list(batch[1]) == [f"row {i}" for i in batch[0].tolist()]
            seen += batch[0].tolist()
        assert sorted(seen) == list(range(ROWS))
        assert seen != sorted(seen)


def test_a_batch_sampler_without_collation(dataset: dlcache.Dataset) -> None:
    rows = adapter.TorchDataset(dataset, columns=["id", "x"])
    sampler = BatchSampler(RandomSampler(rows), 64, drop_last=True)
    batches = list(DataLoader(rows, batch_sampler=sampler, collate_fn=rows.collate))
    assert [batch["x"].shape for batch in batches] == [(64, 3)] * 3


def test_a_transform_on_rows(dataset: dlcache.Dataset) -> None:
    spec = dlcache.TransformSpec(
        lambda b: {"y": b["x"].sum(1)}, edit_fields=[("y", np.float32, ())], selected_fields=["y"]
    )
    rows = copy.deepcopy(adapter.TorchDataset(dataset, columns=["x"], transform=spec))
    assert rows[2]["y"].item() == 63
    assert DataLoader(rows, batch_size=4, collate_fn=rows.collate).__iter__().__next__()["y"].shape == (4,)
