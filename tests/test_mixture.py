from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, OptionError, StateError, TransformError, _order
from dlcache._pattern import BLOCK, Pattern, quotas

SIZES = (230, 90, 31)


def rows_of(number: int, rows: int) -> pa.Table:
    ids = np.arange(rows) + number * 1000
    ragged = [list(range(row % 4)) for row in range(rows)]
    words = [f"{'abc'[number]}{row % 3}" for row in range(rows)]
    tensors = (ids[:, None] + np.arange(4) / 8).tolist()
    return pa.table(
        {
            "id": ids,
            "features": pa.array(tensors, pa.list_(pa.float32())),
            "ragged": pa.array(ragged, pa.list_(pa.int64())),
            "word": words,
        }
    )


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[dlcache.Dataset]:
    root = tmp_path_factory.mktemp("mixture")
    return [
        dlcache.load(write(root / str(number), rows_of(number, rows), shard_rows=90, row_group_rows=25))
        for number, rows in enumerate(SIZES)
    ]


def ids(loader: Any) -> list[list[int]]:
    batches = []
    for batch in loader:
        found = batch["id"].tolist()
        assert np.array_equal(batch["features"][:, 0], batch["id"])
        assert batch["ragged"].lengths.tolist() == [row % 1000 % 4 for row in found]
        assert batch["word"].tolist() == [f"{'abc'[row // 1000]}{row % 1000 % 3}" for row in found]
        batches.append(found)
    return batches


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6), st.integers(0, 9), st.integers(0, 3 * BLOCK))
@settings(max_examples=40)
def test_a_pattern_is_a_function_of_the_position(weights: list[float], seed: int, start: int) -> None:
    pattern = Pattern(weights, seed)
    assert pattern.quotas.sum() == BLOCK
    assert pattern.quotas.min() >= 1
    choice, rank = pattern.at(np.arange(start + 500, dtype=np.int64))
    for number in range(len(weights)):
        assert np.array_equal(rank[choice == number], np.arange((choice == number).sum()))
    some, its = Pattern(weights, seed).at(np.arange(start, start + 500, dtype=np.int64))
    assert np.array_equal(some, choice[start:])
    assert np.array_equal(its, rank[start:])
    for at in (start, start + 499):
        assert pattern.position(int(choice[at]), int(rank[at])) == at


def test_weights_are_kept() -> None:
    assert quotas([0.7, 0.3]).tolist() == [7000, 3000]
    assert quotas([1, 1, 1]).tolist() in ([3334, 3333, 3333], [3333, 3334, 3333], [3333, 3333, 3334])
    assert quotas([1e9, 1]).tolist() == [BLOCK - 1, 1]
    choice, _ = Pattern([0.7, 0.3], 7).at(np.arange(1000, dtype=np.int64))
    assert 650 < (choice == 0).sum() < 750


OPTIONS = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([1, 7, 16, 500]),
        "shuffle": st.booleans(),
        "seed": st.integers(0, 3),
        "threads": st.sampled_from([0, 2]),
        "remainder": st.sampled_from(["exact", "pad", "mask", "drop"]),
    }
)


@settings(max_examples=40)
@given(OPTIONS, st.sampled_from(["first", "all"]), st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_an_epoch_ends_with_the_first_or_with_all(
    parts: list[dlcache.Dataset], options: dict[str, Any], stop: Any, weights: list[int]
) -> None:
    mixture = dlcache.mix(parts, weights, stop=stop)
    loader = mixture.numpy(**options)
    rows = flat(ids(loader))[: len(mixture)]
    counts = [sum(row // 1000 == number for row in rows) for number in range(3)]
    of = {number: [row for row in rows if row // 1000 == number] for number in range(3)}
    if options["remainder"] == "drop":
        return
    if stop == "first":
        assert any(count == size for count, size in zip(counts, SIZES, strict=True))
        assert all(len(set(found)) == len(found) for found in of.values())
    else:
        assert all(set(of[number]) == {number * 1000 + row for row in range(SIZES[number])} for number in range(3))
        for number, size in enumerate(SIZES):  # whole passes, one after another
            assert len(set(of[number][:size])) == size
    if not options["shuffle"]:
        assert of[0][:20] == list(range(20))[: len(of[0])]


def test_the_order_is_the_same_for_every_world_size(parts: list[dlcache.Dataset]) -> None:
    mixture = dlcache.mix(parts, [0.5, 0.3, 0.2], seed=7, stop="all")
    one = mixture.numpy(24, shuffle=True, remainder="pad")
    whole = flat(ids(one))
    for world_size in (2, 3):
        ranks = [
            ids(mixture.numpy(24 // world_size, shuffle=True, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        assert [row for step in zip(*ranks, strict=True) for part in step for row in part] == whole
    loader = mixture.numpy(12, shuffle=True, rank=1, world_size=2)
    list(loader)
    assert loader.fingerprint() == one.fingerprint()


def test_epochs_and_seeds_have_orders_of_their_own(parts: list[dlcache.Dataset]) -> None:
    mixture = dlcache.mix(parts, [5, 3, 2], stop="first")
    loader = mixture.numpy(16, shuffle=True, epochs=2)
    rows = flat(ids(loader))
    size = len(mixture)
    assert len(rows) == 2 * size
    assert rows[:size] != rows[size:]
    assert [row // 1000 for row in rows[:size]] == [row // 1000 for row in rows[size:]]
    again = dlcache.mix(parts, [5, 3, 2], seed=1).numpy(16, shuffle=True)
    assert [row // 1000 for row in flat(ids(again))] != [row // 1000 for row in rows[:size]]
    assert len(dlcache.mix([parts[0], parts[0]])) <= 2 * SIZES[0]
    twice = flat(ids(dlcache.mix([parts[0], parts[0]], stop="all").numpy(16, shuffle=True)))
    assert {rows_ for rows_ in twice if twice.count(rows_) >= 2} == set(range(SIZES[0]))


@settings(max_examples=20)
@given(OPTIONS, st.sampled_from(["first", "all"]), st.data())
def test_to_resume_at_any_step_is_not_to_have_stopped(
    parts: list[dlcache.Dataset], options: dict[str, Any], stop: Any, data: st.DataObject
) -> None:
    options = {**options, "batch_size": 32, "epochs": 3}
    mixture = dlcache.mix(parts, [0.5, 0.3, 0.2], stop=stop)
    whole = ids(mixture.numpy(**options))
    at = data.draw(st.integers(0, len(whole) - 1))
    loader = mixture.numpy(**options)
    iterator = iter(loader)
    for _ in range(at):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = pickle.loads(pickle.dumps(mixture)).numpy(**options)
    resumed.load_state_dict(state)
    assert ids(resumed) == whole[at:]
    assert ids(pickle.loads(pickle.dumps(loader))) == whole[at:]


def test_a_state_is_of_one_mixture(parts: list[dlcache.Dataset]) -> None:
    state = dlcache.mix(parts, [5, 3, 2]).numpy(8).state_dict()
    dlcache.mix(parts, [0.5, 0.3, 0.2]).numpy(8).load_state_dict(state)
    others = [
        dlcache.mix(parts, [5, 3, 3]),
        dlcache.mix(parts, [5, 3, 2], seed=1),
        dlcache.mix(parts, [5, 3, 2], stop="all"),
        dlcache.mix([parts[0], parts[1], parts[1]], [5, 3, 2]),
        parts[0],
    ]
    for other in others:
        with pytest.raises(StateError):
            other.numpy(8).load_state_dict(state)


def test_the_same_signature_for_all(parts: list[dlcache.Dataset]) -> None:
    mixture = dlcache.mix(parts, [5, 3, 2], stop="all")
    expected = flat(ids(mixture.numpy(16, shuffle=True)))
    torch = pytest.importorskip("torch")
    loader = mixture.torch(16, shuffle=True, output=("features", "id"))
    batches = list(loader)
    assert torch.cat([id_ for _, id_ in batches]).tolist() == expected
    assert len(loader) == len(batches) == mixture.steps(16)
    tf = pytest.importorskip("tensorflow")
    dataset = mixture.tf(16, shuffle=True, columns=["id", "ragged"])
    assert dataset.cardinality() == len(batches)
    assert tf.concat([batch["id"] for batch in dataset], 0).numpy().tolist() == expected


def test_transforms_and_codes(parts: list[dlcache.Dataset]) -> None:
    mixture = dlcache.mix(parts, [5, 3, 2])
    words = mixture.vocabulary("word")
    assert words == tuple(f"{letter}{number}" for letter in "abc" for number in range(3))
    for batch in mixture.numpy(16, strings="codes"):
        assert [words[code] for code in batch["word"]] == [
            f"{'abc'[row // 1000]}{row % 1000 % 3}" for row in batch["id"].tolist()
        ]

    def fails(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 1005:
            raise ValueError("no")
        return {"id": row["id"]}

    with pytest.raises(TransformError, match=rf"row 5 of {parts[1].path}: ValueError: no"):
        list(mixture.numpy(16, transform=dlcache.TransformSpec.rows(fails)))


def test_parts_of_datasets_can_be_mixed(parts: list[dlcache.Dataset]) -> None:
    train = parts[0].split({"train": 0.8, "val": 0.2})["train"]
    few = parts[1].filter(("id", ">", 1080))
    mixture = dlcache.mix([train.select(["id"]), few.select(["id"])], [1, 1], stop="all")
    rows = {row for batch in mixture.numpy(16, shuffle=True) for row in batch["id"].tolist()}
    assert rows == set(train.gather(np.arange(len(train)))["id"].tolist()) | set(range(1081, 1090))
    assert "Mixture(" in repr(mixture)


def test_columns_must_be_alike(parts: list[dlcache.Dataset], tmp_path: Path) -> None:
    other = dlcache.load(write(tmp_path / "a", pa.table({"id": pa.array([1, 2], pa.int32())})))
    with pytest.raises(ColumnError, match=r"'features'.*select"):
        dlcache.mix([parts[0], other])
    with pytest.raises(ColumnError, match=r"'id' is array int64 .* array int32"):
        dlcache.mix([parts[0].select(["id"]), other]).numpy()
    nulls = dlcache.load(write(tmp_path / "b", pa.table({"id": pa.array([1, None])})))
    masked = dlcache.mix([parts[0].select(["id"]), nulls])
    with pytest.raises(ColumnError, match="nulls in column 'id'"):
        masked.numpy(nulls="mask")
    assert len(list(masked.numpy(nulls={"id": 0}))) > 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"datasets": []},
        {"datasets": ["path"]},
        {"weights": [1]},
        {"weights": [1, 0, 1]},
        {"weights": [1, float("inf"), 1]},
        {"seed": -1},
        {"stop": "never"},
    ],
)
def test_arguments_that_make_no_sense(parts: list[dlcache.Dataset], arguments: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        dlcache.mix(**{"datasets": parts, **arguments})
    with pytest.raises(OptionError, match="no rows"):
        dlcache.mix([parts[0], parts[1].filter(("id", "<", 0))])


@pytest.mark.parametrize("options", [{}, {"shuffle_window": 20}])
def test_a_mixture_of_many_datasets_makes_each_order_once(
    parts: list[dlcache.Dataset], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    made: list[tuple[int, int]] = []
    permute = _order.Permutation.__init__

    def counted(self: Any, size: int, key: int) -> None:
        made.append((size, key))
        permute(self, size, key)

    monkeypatch.setattr(_order.Permutation, "__init__", counted)
    many = dlcache.mix([part for _, part in zip(range(14), parts * 5, strict=False)], stop="first")
    assert len(flat(ids(many.numpy(8, shuffle=True, threads=0, **options)))) == len(many)
    assert len(made) == len(set(made))
