"""Which rank this process is: every launcher's variables, their nesting, and no rank where there is none."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError, _ranks
from dlcache._options import LoaderOptions
from dlcache._ranks import TORCHRUN, VARIABLES, Rank, agree, rank_of_task, ranks_of_environment

TORCH = {"RANK": "5", "WORLD_SIZE": "8"}
NODE = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_ID": "0"}
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}


def tf_config(task: str, index: int, **cluster: int) -> dict[str, str]:
    hosts = {role: [f"host{n}:1" for n in range(count)] for role, count in cluster.items()}
    return {"TF_CONFIG": json.dumps({"cluster": hosts, "task": {"type": task, "index": index}})}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, []),
        (TORCH, [("RANK and WORLD_SIZE", 5, 8)]),
        *(({rank: "1", size: "4"}, [(f"{rank} and {size}", 1, 4)]) for rank, size in VARIABLES),
        *(({rank: "1"}, []) for rank, _ in VARIABLES),
        *(({size: "4"}, []) for _, size in VARIABLES),
        *(({rank: "", size: "4"}, []) for rank, size in VARIABLES),
        # Launchers in launchers
        ({**TORCH, TORCHRUN: "none", **NODE}, [("RANK and WORLD_SIZE", 5, 8)]),
        ({**TORCH, TORCHRUN: "none", **MPI}, [("RANK and WORLD_SIZE", 5, 8)]),
        ({TORCHRUN: "none", **MPI}, [("OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE", 1, 2)]),
        ({**TORCH, **MPI}, [("RANK and WORLD_SIZE", 5, 8), ("OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE", 1, 2)]),
        ({**MPI, **NODE, "SLURM_PROCID": "0"}, [("OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE", 1, 2)]),
        # Slurm: a step's task is a rank; a batch script, an allocation and a shell in it are not
        (NODE, [("SLURM_PROCID and SLURM_STEP_NUM_TASKS", 1, 2)]),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}, []),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_NNODES": "2"}, []),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967290"},
            [("SLURM_PROCID and SLURM_STEP_NUM_TASKS", 0, 1)],
        ),
        # TensorFlow
        (tf_config("worker", 1, worker=2), [("TF_CONFIG", 1, 2)]),
        (tf_config("chief", 0, chief=1, worker=2), [("TF_CONFIG", 0, 3)]),
        (tf_config("worker", 1, chief=1, worker=2, ps=1), [("TF_CONFIG", 2, 3)]),
        (tf_config("evaluator", 0, chief=1, worker=1), []),
        (tf_config("ps", 0, worker=1, ps=1), []),
        ({**tf_config("evaluator", 0, worker=2), **NODE}, []),
        ({"TF_CONFIG": "{}"}, []),
        ({**tf_config("worker", 1, worker=2), **NODE}, [("TF_CONFIG", 1, 2)]),
    ],
)
def test_what_an_environment_says(environment: dict[str, str], found: list[tuple[str, int, int]]) -> None:
    assert ranks_of_environment(environment) == tuple(Rank(*rank) for rank in found)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "four", "WORLD_SIZE": "8"}, "RANK='four' and WORLD_SIZE='8' are not integers"),
        ({"RANK": "8", "WORLD_SIZE": "8"}, r"RANK=8 is not in 0 .. WORLD_SIZE=8 - 1"),
        ({"PMI_RANK": "-1", "PMI_SIZE": "8"}, "PMI_RANK=-1 is not in"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG cannot be read"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG cannot be read"),
        (tf_config("worker", 2, worker=2), "TF_CONFIG: the cluster has no task 2 of type 'worker'"),
    ],
)
def test_an_environment_that_makes_no_sense(environment: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ranks_of_environment(environment)


RANKS = st.integers(0, 7).flatmap(lambda rank: st.tuples(st.just(rank), st.integers(rank + 1, 8)))


@given(RANKS, st.integers(0, 3), st.booleans(), st.booleans())
def test_sources_that_agree(place: tuple[int, int], sources: int, rank: bool, world_size: bool) -> None:
    found = [Rank(f"source {n}", *place) for n in range(sources)]
    given = (place[0] if rank else None, place[1] if world_size else None)
    if found or given == place:
        assert agree(*given, found) == place
    elif given == (None, None):
        assert agree(*given, found) is None
    else:
        with pytest.raises(OptionError, match="give both rank and world_size"):
            agree(*given, found)


@given(RANKS, RANKS, st.booleans())
def test_sources_that_disagree_are_both_named(one: tuple[int, int], other: tuple[int, int], given: bool) -> None:
    if one == other or (given and one[1] == 1):
        return
    sources = [Rank("launcher A", *one), Rank("framework B", *other)]
    with pytest.raises(OptionError) as raised:
        if given:
            agree(*one, sources[1:])
        else:
            agree(None, None, sources)
    text = str(raised.value)
    assert f"framework B says rank {other[0]} of {other[1]}" in text
    assert ("was given" if given else f"launcher A says rank {one[0]} of {one[1]}") in text


def test_a_world_of_one_reads_everything_anywhere() -> None:
    assert agree(0, 1, [Rank("A", 1, 2), Rank("B", 2, 3)]) == (0, 1)
    with pytest.raises(OptionError, match="rank must be below world_size=1, not 1"):
        agree(1, 1, [])


def test_ranks_of_a_cluster() -> None:
    assert rank_of_task({"master": ["m"], "worker": ["a"]}, "worker", 0, "it") == Rank("it", 1, 2)
    assert rank_of_task({}, None, None, "it") is None


# Through the loaders


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    return dlcache.load(write(tmp_path_factory.mktemp("d"), pa.table({"id": list(range(40))})))


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*(name for pair in VARIABLES for name in pair), "TF_CONFIG", TORCHRUN, _ranks.SLURM_STEP):
        monkeypatch.delenv(name, raising=False)
    yield


def test_a_loader_finds_its_rank(dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(iter(dataset.numpy(4)))["id"].tolist() == [0, 1, 2, 3]
    monkeypatch.setenv("HOROVOD_RANK", "1")
    monkeypatch.setenv("HOROVOD_SIZE", "3")
    given: list[dict[str, Any]] = [{}, {"rank": 1}, {"world_size": 3}, {"rank": 1, "world_size": 3}]
    for options in given:
        assert next(iter(dataset.numpy(4, **options)))["id"].tolist() == [4, 5, 6, 7]
    assert next(iter(dataset.numpy(4, rank=0, world_size=1)))["id"].tolist() == [0, 1, 2, 3]
    with pytest.raises(OptionError, match="rank=0 was given, and HOROVOD_RANK and HOROVOD_SIZE say rank 1 of 3"):
        dataset.numpy(4, rank=0, world_size=3)


def first(loader: Any) -> Any:
    return next(iter(loader))["id"].tolist()


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes this process rank 1 of 2."""

    def become() -> None:
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")

    return become


def test_a_pickled_loader_stays_the_rank_that_it_is(
    dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch, second_of_two: Callable[[], None]
) -> None:
    used = dataset.numpy(4)
    len(used)
    alone = [pickle.dumps(dataset.numpy(4)), pickle.dumps(used)]
    second_of_two()
    placed = pickle.dumps(dataset.numpy(4))
    half = pickle.dumps(dataset.numpy(4, rank=1))
    for data in alone:
        assert first(pickle.loads(data)) == [4, 5, 6, 7]
    monkeypatch.delenv("RANK")
    for data in (placed, half):
        assert first(pickle.loads(data)) == [4, 5, 6, 7]
    for data in alone:
        assert first(pickle.loads(data)) == [0, 1, 2, 3]
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(OptionError, match=r"rank 1 of 2 so far.*RANK and WORLD_SIZE say rank 0 of 2"):
        first(pickle.loads(placed))


def test_a_loader_looks_for_its_rank_when_it_is_iterated(
    dataset: dlcache.Dataset, second_of_two: Callable[[], None]
) -> None:
    loaders = [
        dataset.numpy(4),
        dlcache.mix([dataset, dataset]).numpy(4),
        dlcache.BatchLoader(dataset, LoaderOptions(4)),
    ]
    fixed = dataset.numpy(4, rank=0, world_size=1)
    second_of_two()
    assert [loader.steps.rank for loader in loaders] == [1, 1, 1]
    assert [len(list(loader)) for loader in loaders] == [5, 10, 5]
    assert first(loaders[0]) == [4, 5, 6, 7]
    assert first(fixed) == [0, 1, 2, 3]


@pytest.mark.parametrize("use", [len, first, lambda loader: loader.steps, lambda loader: loader.state_dict()])
def test_a_loader_that_was_used_as_another_rank_is_refused(
    dataset: dlcache.Dataset, second_of_two: Callable[[], None], use: Callable[[Any], Any]
) -> None:
    loader = dataset.numpy(4)
    use(loader)
    second_of_two()
    with pytest.raises(OptionError, match=r"rank 0 of 1 so far.*make a new loader"):
        iter(loader)


def _rows(rank: int, loader: Any, rendezvous: str, answers: Any) -> None:
    import torch

    copy = pickle.dumps(loader)
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    answers.put([first(loader), first(pickle.loads(copy))])
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_a_loader_that_is_older_than_its_process_group(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    context = multiprocessing.get_context("fork")
    queues = [context.SimpleQueue() for _ in range(2)]
    processes = [
        context.Process(target=_rows, args=(rank, dataset.torch(4), f"file://{tmp_path}/rendezvous", queues[rank]))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    assert [queue.get() for queue in queues] == [[[0, 1, 2, 3]] * 2, [[4, 5, 6, 7]] * 2]
    for process in processes:
        process.join()


def test_the_group_of_torch_distributed(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        steps = dataset.torch(4, group=torch.distributed.group.WORLD).steps
        assert (steps.rank, steps.world_size) == (0, 1)
        with pytest.raises(OptionError, match="rank and group were given"):
            dataset.torch(4, rank=0, group=torch.distributed.group.WORLD)
        with pytest.raises(OptionError, match=r"torch\.distributed says rank 0 of 1"):
            dataset.numpy(4, rank=1, world_size=2)
    finally:
        torch.distributed.destroy_process_group()
