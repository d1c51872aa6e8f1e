"""The pure parts of the benchmarks' harness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import report
from benchmarks.contest import BEST_PEER, CELLS, SPARKS, Cell, Contestant, Kind, Target
from benchmarks.limits import RaggedLoop, RaggedVectorised, ahead, batches_of_ids
from benchmarks.rounds import CellResult, Measured
from benchmarks.workloads import WORKLOADS, Proof, proof
from hypothesis import given
from hypothesis import strategies as st


def contestant(name: str, kind: Kind) -> Contestant:
    return Contestant(name, kind, "limits:Arrays", ("numpy",))


def measured(name: str, kind: Kind, *rates: float, mix: float = 1.0, peak: int | None = 10_000_000) -> Measured:
    return Measured(contestant(name, kind), rates, Proof(100, True, mix), peak)


def result(*targets: Target, absent: tuple[tuple[str, str], ...] = ()) -> CellResult:
    contest = (
        measured("limit", "limit", 100.0, 200.0, 300.0),
        measured("ours", "dlcache", 90.0, 200.0, 330.0),
        measured("slow peer", "peer", 10.0, 20.0, 30.0),
        measured("peer of another order", "peer", 1000.0, 1000.0, 1000.0, mix=0.4),
    )
    cell = Cell("numbers, shuffled", "embeddings", True, tuple(one.contestant for one in contest), targets)
    return CellResult(cell, contest, absent)


@given(st.integers(1, 500), st.integers(1, 64), st.integers(0, 9))
def test_a_permutation_is_proved_and_a_lost_or_doubled_row_is_not(rows: int, batch_size: int, seed: int) -> None:
    batches = list(batches_of_ids(rows, batch_size, seed))
    assert proof(batches, rows).once
    assert not proof(batches[:-1], rows).once
    assert not proof([*batches, batches[0]], rows).once
    if rows > 1:
        doubled = np.concatenate(batches)
        doubled[0] = doubled[1]
        assert not proof([doubled], rows).once


def test_mix_tells_a_full_shuffle_from_an_order() -> None:
    assert proof(list(batches_of_ids(100_000, 256, 1)), 100_000).mix == pytest.approx(1, abs=0.02)
    in_order = [np.arange(start, start + 256) for start in range(0, 25_600, 256)]
    assert proof(in_order, 25_600).mix < 0.02


def test_ratio_compares_within_rounds() -> None:
    assert report.ratio([10, 50, 90], [10, 100, 100]) == 0.9
    assert report.spread([90.0, 100.0, 120.0]) == pytest.approx(0.15)


def test_the_best_peer_must_shuffle_fully() -> None:
    found = report.best_peer(result().measured)
    assert found is not None and found.contestant.name == "slow peer"
    assert report.reached(Target("ours", 5.0, BEST_PEER), result()) == 10
    assert report.reached(Target("ours", 5.0, "nobody"), result()) is None


def test_the_table_says_what_is_met_and_what_is_absent() -> None:
    one = result(
        Target("ours", 1.0, "limit"), Target("ours", 1.2, "limit"), absent=(("Lance", "lance: no module\nmore"),)
    )
    table = report.reading_table(report.Results((one,), {}, ()))
    lines = table.split("\n")
    assert len({line.count("|") for line in lines}) == 1
    ours = next(line for line in lines if "**ours**" in line)
    assert "| 200 | ±60% | 1.00 | 1.00 | 10 |" in ours
    assert "yes, 1.00; **no**, 1.00" in ours
    assert "left out" in lines[-1] and lines[-1].endswith("lance: no module |")


def test_writes_are_compared_by_speed() -> None:
    seconds = {"noop": [0.5, 0.5], SPARKS: [4.0, 6.0], "dlcache": [1.0, 1.0]}
    write = {"name": "embeddings, arrays", "rows": 10, "written": seconds}
    table = report.writing_table([write])
    assert "| **dlcache** | 1.00 | ±0% | 5.00 | 4 x | yes, 5.00 |" in table


def test_reads_of_spark_are_compared_for_each_part_that_is_read() -> None:
    read = {"all columns": {SPARKS: [2.0], "dlcache": [1.0]}, "count": {SPARKS: [1.0], "dlcache": [2.0]}}
    table = report.spark_reading_table([{"name": "tabular", "rows": 10, "read": read}])
    assert "tabular, all columns, 10 rows" in table and "| 1 x | yes, 2.00 |" in table
    assert "tabular, count, 10 rows" in table and "| 1 x | **no**, 0.50 |" in table


def test_the_words_around_the_measured_part_stay() -> None:
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.replaced(document, "new\n") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_saved_results_give_the_same_page() -> None:
    for cell in CELLS:
        names = [one.name for one in cell.contestants]
        rates = tuple(float(number + 1) for number in range(3))
        proved = Proof(10, True, 1.0)
        contest = tuple(Measured(one, rates, proved, None) for one in cell.contestants[:-1])
        results = report.Results((CellResult(cell, contest, ((names[-1], "absent"),)),), {names[0]: 0.01}, ())
        again = report.from_json(json.loads(json.dumps(report.to_json(results, "command"))))
        assert report.page(again, "command", "here") == report.page(results, "command", "here")


def test_every_target_names_contestants_of_its_cell() -> None:
    for cell in CELLS:
        names = {one.name for one in cell.contestants}
        assert cell.contestants[0].kind == "limit"
        assert cell.workload in WORKLOADS
        for target in cell.targets:
            assert target.contestant in names and target.against in names | {BEST_PEER}


def test_work_that_is_done_ahead_comes_in_order_and_whole() -> None:
    for count in (0, 1, 3, 50):
        inputs = iter([np.array([number]) for number in range(count)])
        assert [batch["ids"][0] for batch in ahead(lambda ids: {"ids": ids}, inputs, 2)] == list(range(count))


def test_both_ways_to_pad_agree(tmp_path: Path) -> None:
    WORKLOADS["ragged"].make(tmp_path, 300)
    loop, vectorised = (maker("ragged", tmp_path, 300, {}) for maker in (RaggedLoop, RaggedVectorised))
    for ids in batches_of_ids(300, 64, 1):
        assert np.array_equal(loop.padded(ids), vectorised.padded(ids))
    batches = [np.asarray(WORKLOADS["ragged"].ids({"label": loop.label[ids]})) for ids in batches_of_ids(300, 64, 1)]
    assert proof(batches, 300).once


@pytest.mark.parametrize("name", ["embeddings", "tabular", "ragged"])
def test_data_is_the_same_whenever_it_is_made(name: str, tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        WORKLOADS[name].make(tmp_path / part, 50)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_wrong_values_are_seen() -> None:
    label = np.arange(4)
    features = np.zeros((4, 768), np.float32)
    features[:, 0] = features[:, -1] = label
    check = WORKLOADS["embeddings"].check
    assert check({"features": features, "label": label})
    assert not check({"features": features[::-1].copy(), "label": label})
