"""Runs contestants in interleaved rounds, each in a process of its own, and samples the memory of the one at work."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contest import Cell, Contestant
from benchmarks.workloads import Proof

LEAST_SECONDS = 0.4  # of one measurement: short epochs are repeated
SAMPLE_SECONDS = 0.02
FULL_SHUFFLE = 0.97  # the least `mix` that counts as a full shuffle


class BenchmarkError(Exception):
    """A contestant failed, or did not deliver each row once."""


@dataclass(frozen=True)
class Sample:
    """One contestant in one round: rows/s, the proof of its last epoch, peak memory in bytes."""

    rate: float
    proof: Proof
    peak: int | None


@dataclass(frozen=True)
class Measured:
    """One contestant in one cell: rows/s of each round, the proof of its last epoch, and its peak memory in bytes."""

    contestant: Contestant
    rates: tuple[float, ...]
    proof: Proof
    peak: int | None

    @property
    def full_shuffle(self) -> bool:
        return self.proof.mix >= FULL_SHUFFLE


@dataclass(frozen=True)
class CellResult:
    cell: Cell
    measured: tuple[Measured, ...]
    absent: tuple[tuple[str, str], ...]


class Worker:
    """A contestant's process. `ask` sends one command and waits for its answer, and samples memory meanwhile."""

    def __init__(self, contestant: Contestant, workload: str, directory: Path, rows: int) -> None:
        self.contestant = contestant
        self.rows = rows
        request = {
            "workload": workload,
            "directory": str(directory),
            "rows": rows,
            "maker": contestant.maker,
            "modules": contestant.modules,
            "options": contestant.options,
        }
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        python = (contestant.python and os.environ.get(contestant.python)) or sys.executable
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": _path()},
        )
        greeting = self._answer()
        self.absent: str | None = greeting.get("absent")
        self.imported: int | None = greeting.get("anonymous")

    def ask(self, **command: Any) -> tuple[dict[str, Any], int | None]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        with _peak_memory(self.process.pid) as peak:
            answer = self._answer()
        above = max(peak) - self.imported if peak and self.imported is not None else None
        return answer, above

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.log.seek(0)
            said = self.log.read().decode(errors="replace")[-2000:]
            raise BenchmarkError(f"{self.contestant.name}: its process ended with {status}:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Workers:
    """The processes of the contestants of one workload: each is started once, prepared, and has proved itself."""

    def __init__(self, workload: str, directory: Path, rows: int) -> None:
        self.workload, self.directory, self.rows = workload, directory, rows
        self._workers: list[Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.close()

    def worker(self, contestant: Contestant) -> Worker:
        for worker in self._workers:
            if (worker.contestant.maker, worker.contestant.options) == (contestant.maker, contestant.options):
                return worker
        worker = Worker(contestant, self.workload, self.directory, int(self.rows * contestant.share))
        self._workers.append(worker)
        if worker.absent is None:
            worker.ask(do="prepare")
        return worker


def run_cell(cell: Cell, workers: Workers, rounds: int) -> CellResult:
    """One cell: every contestant proves itself in an epoch that is not timed, then the rounds go around."""
    contest = [(contestant, workers.worker(contestant)) for contestant in cell.contestants]
    samples: dict[str, list[Sample]] = {}
    for number in range(-1, rounds):
        for contestant, worker in contest:
            if worker.absent is not None:
                continue
            try:
                if number < 0:
                    _epoch(cell, worker, seed=0, check=True)
                else:
                    sample = _measure(cell, worker, seed=100 * (number + 1))
                    samples.setdefault(contestant.name, []).append(sample)
            except BenchmarkError as error:
                if contestant.kind != "peer":
                    raise
                worker.absent = str(error)
    return CellResult(
        cell,
        tuple(_measured(one, samples[one.name]) for one, worker in contest if worker.absent is None),
        tuple((one.name, worker.absent) for one, worker in contest if worker.absent is not None),
    )


def first_batches(cell: Cell, workers: Workers, rounds: int) -> dict[str, float]:
    """The median seconds from opening the dataset to the first batch, each time in a new process, imports done."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for contestant in cell.contestants:
            worker = Worker(contestant, cell.workload, workers.directory, int(workers.rows * contestant.share))
            if worker.absent is None:
                answer, _ = worker.ask(do="first", shuffle=cell.shuffle, batch_size=cell.batch_size)
                if answer["seconds"] is not None:
                    seconds.setdefault(contestant.name, []).append(answer["seconds"])
            worker.close()
    return {name: statistics.median(values) for name, values in seconds.items()}


def _measure(cell: Cell, worker: Worker, seed: int) -> Sample:
    rows, seconds = 0, 0.0
    peaks: list[int | None] = []
    while seconds < LEAST_SECONDS:
        proved, took, peak = _epoch(cell, worker, seed + len(peaks), check=False)
        rows, seconds = rows + proved.rows, seconds + took
        peaks.append(peak)
    return Sample(rows / seconds, proved, _greatest(peaks))


def _epoch(cell: Cell, worker: Worker, seed: int, *, check: bool) -> tuple[Proof, float, int | None]:
    """One epoch. Peers have three tries: Petastorm's reader sometimes ends before it has begun."""
    for _ in range(3 if worker.contestant.kind == "peer" else 1):
        answer, peak = worker.ask(do="epoch", shuffle=cell.shuffle, batch_size=cell.batch_size, seed=seed, check=check)
        proved = Proof(answer["rows"], answer["once"], answer["mix"])
        if proved.once and not answer["wrong"]:
            return proved, float(answer["seconds"]), peak
    raise BenchmarkError(
        f"{cell.name}: {worker.contestant.name} delivered {proved.rows} rows of {worker.rows}, each once: "
        f"{proved.once}, batches with wrong values: {answer['wrong']}"
    )


def _measured(contestant: Contestant, samples: Sequence[Sample]) -> Measured:
    rates = tuple(sample.rate for sample in samples)
    return Measured(contestant, rates, samples[-1].proof, _greatest(sample.peak for sample in samples))


def _greatest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Samples a process's anonymous memory until the block ends; the list stays empty where /proc is absent."""
    samples: list[int] = []
    stop = threading.Event()
    status = Path(f"/proc/{pid}/status")

    def sample() -> None:
        done = False
        while not done:
            lines = status.read_text().splitlines()
            samples.extend(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
            done = stop.wait(SAMPLE_SECONDS)

    thread = threading.Thread(target=sample, daemon=True) if status.exists() else None
    if thread is not None:
        thread.start()
    try:
        yield samples
    finally:
        stop.set()
        if thread is not None:
            thread.join()


def _path() -> str:
    """The package and this directory's parent, for interpreters in which neither is installed."""
    tree = Path(__file__).resolve().parent.parent
    return os.pathsep.join([str(tree), str(tree / "python")])
