"""Which rank this process is, of how many: what launchers and frameworks say, and what the caller gave.

`ranks_of_environment` and `agree` decide, and are pure. `ranks_of_frameworks` asks those that are imported already.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import OptionError

VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, and whoever follows it
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),  # MVAPICH2
)
Place = tuple[int, int]
"""Rank and world size."""

TORCHRUN = "TORCHELASTIC_RUN_ID"
SLURM_STEP = "SLURM_STEP_ID"
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
_TASKS = ("chief", "master", "worker")


@dataclass(frozen=True, slots=True)
class Rank:
    """What one source says: process `rank` of `world_size`."""

    source: str
    rank: int
    world_size: int


def ranks_of_environment(environment: Mapping[str, str]) -> tuple[Rank, ...]:
    """What the variables of launchers say, in pairs: half a pair says nothing. Raises OptionError for pairs that make
    no sense.

    Launchers nest, and the innermost one is right: under torchrun only its own variables count, and Slurm's only where
    nobody else says anything. Slurm's are those of a job step (`srun`), so a shell in an allocation, interactive or
    not, is no rank.
    """
    first = _pair(environment, *VARIABLES[0])
    if environment.get(TORCHRUN) and first is not None:
        return (first,)
    pairs = [first, *(_pair(environment, *names) for names in VARIABLES[1:])]
    found = tuple(rank for rank in (*pairs, _tf_config(environment.get("TF_CONFIG"))) if rank is not None)
    if found or environment.get("TF_CONFIG") or not environment.get(SLURM_STEP):
        return found
    step = _pair(environment, *SLURM)
    return () if step is None else (step,)


def agree(rank: int | None, world_size: int | None, found: Sequence[Rank]) -> Place | None:
    """Rank and world size of what was given and what was found; None if nobody says anything.

    `world_size=1`, given, is not a claim about this process: it reads all rows, whatever else goes on. Raises
    OptionError where two disagree, and if one of the two was given alone and nobody says the other.
    """
    if rank is not None and world_size is not None:
        if rank >= world_size:
            raise OptionError(f"rank must be below world_size={world_size}, not {rank}")
        if world_size == 1:
            return 0, 1
    for other in found[1:]:
        if (other.rank, other.world_size) != (found[0].rank, found[0].world_size):
            raise OptionError(
                f"{_says(found[0])}, and {_says(other)}; correct or unset the wrong one, or give rank=0, world_size=1 "
                "to read all rows in this process"
            )
    for name, given in (("rank", rank), ("world_size", world_size)):
        if given is None:
            continue
        if found and getattr(found[0], name) != given:
            raise OptionError(
                f"{name}={given} was given, and {_says(found[0])}; leave it out, or correct or unset the other ("
                "rank=0, world_size=1 reads all rows)"
            )
        if not found and (rank is None or world_size is None):
            raise OptionError(
                f"{name}={given} was given alone, and nothing says the other: neither a process group nor variables of "
                "a launcher, such as RANK and WORLD_SIZE; give both rank and world_size"
            )
    if rank is not None and world_size is not None:
        return rank, world_size
    return (found[0].rank, found[0].world_size) if found else None


def rank_of_task(cluster: Mapping[str, Any], task: str | None, index: int | None, source: str) -> Rank | None:
    """The rank of a TensorFlow task among chief and workers, in this order; None for a task that is neither, or
    without a cluster. Raises OptionError for a task that the cluster does not have."""
    readers = [(role, at) for role in _TASKS for at in range(len(cluster.get(role, ())))]
    if task is None or index is None or task not in _TASKS or not readers:
        return None
    if (task, int(index)) not in readers:
        raise OptionError(f"{source}: the cluster has no task {index} of type {task!r}; its tasks are {readers}")
    return Rank(source, readers.index((task, int(index))), len(readers))


def ranks_of_frameworks() -> tuple[Rank, ...]:
    """What `torch.distributed` says if it is initialised, and the current `tf.distribute` strategy if it has a
    cluster. Imports neither."""
    found: list[Rank | None] = []
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        found.append(Rank("torch.distributed", distributed.get_rank(), distributed.get_world_size()))
    distribute = getattr(sys.modules.get("tensorflow"), "distribute", None)
    if distribute is not None and distribute.has_strategy():
        resolver = distribute.get_strategy().cluster_resolver
        if resolver is not None and resolver.cluster_spec():
            cluster = resolver.cluster_spec().as_dict()
            found.append(rank_of_task(cluster, resolver.task_type, resolver.task_id, "tf.distribute"))
    return tuple(rank for rank in found if rank is not None)


def found_now() -> tuple[Rank, ...]:
    """What frameworks and launchers say in this process now. Raises OptionError for what makes no sense."""
    return (*ranks_of_frameworks(), *ranks_of_environment(os.environ))


def check_same(place: Place, found: Sequence[Rank]) -> None:
    """Raises OptionError if a source says another rank or world size than a loader has worked with."""
    for rank in found:
        if (rank.rank, rank.world_size) != place:
            raise OptionError(
                f"this loader has worked as rank {place[0]} of {place[1]} so far: it was iterated, or its length, "
                f"steps or state were asked for. Now {_says(rank)}; make a new loader in this process, after its "
                "process group is initialized"
            )


def _pair(environment: Mapping[str, str], rank: str, world_size: str) -> Rank | None:
    texts = environment.get(rank), environment.get(world_size)
    if not texts[0] or not texts[1]:
        return None
    try:
        numbers = int(texts[0]), int(texts[1])
    except ValueError as error:
        raise OptionError(
            f"{rank}={texts[0]!r} and {world_size}={texts[1]!r} are not integers; correct or unset them"
        ) from error
    if not 0 <= numbers[0] < numbers[1]:
        raise OptionError(f"{rank}={texts[0]} is not in 0 .. {world_size}={texts[1]} - 1; correct or unset them")
    return Rank(f"{rank} and {world_size}", *numbers)


def _tf_config(text: str | None) -> Rank | None:
    if not text:
        return None
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster") or {}, config.get("task") or {}
        return rank_of_task(cluster, task.get("type"), task.get("index"), "TF_CONFIG")
    except OptionError:
        raise
    except (ValueError, AttributeError, TypeError) as error:
        raise OptionError(f"TF_CONFIG cannot be read: {error}; correct it or unset it. It is {text!r}") from error


def _says(rank: Rank) -> str:
    verb = "say" if " and " in rank.source else "says"
    return f"{rank.source} {verb} rank {rank.rank} of {rank.world_size}"
