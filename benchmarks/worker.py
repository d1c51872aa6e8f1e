"""One contestant in a process of its own: `python -m benchmarks.worker REQUEST`, then one JSON line for each command.

Commands come on the standard input, answers go to the standard output; what libraries print goes to the standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from benchmarks.workloads import WORKLOADS, Array, Batch, proof


class Reader(Protocol):
    """What every contestant is: `prepare` makes its files if they are absent, `epoch` reads all rows once."""

    def prepare(self) -> None: ...
    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]: ...


def missing(modules: list[str]) -> str | None:
    """Imports `modules`; the reason why one of them cannot be, or None."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"{module}: {error}"
    return None


def anonymous_bytes() -> int | None:
    """This process's anonymous memory, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = [line for line in status.read_text().splitlines() if line.startswith("RssAnon:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def serve(request: dict[str, Any], commands: TextIO, answers: TextIO) -> None:
    """Answers `first` (time to the first batch of a new reader) and `epoch`, until the commands end."""

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    absent = missing(request["modules"])
    if absent is not None:
        answer(absent=absent)
        return
    workload = WORKLOADS[request["workload"]]
    module, maker = request["maker"].split(":")
    make = getattr(importlib.import_module(f"benchmarks.{module}"), maker)
    importlib.import_module("numpy.random")
    arguments = (request["workload"], Path(request["directory"]), request["rows"], request["options"])
    answer(anonymous=anonymous_bytes(), python=sys.version.split()[0])
    reader: Reader = make(*arguments)
    for line in commands:
        command = json.loads(line)
        if command["do"] == "prepare":
            reader.prepare()
            answer(done=True)
        elif command["do"] == "first":
            start = time.perf_counter()
            reader = make(*arguments)
            batches = reader.epoch(command["shuffle"], command["batch_size"], seed=1)
            batch = next(batches, None)
            if batch is not None:
                workload.touch(batch)
            answer(seconds=None if batch is None else time.perf_counter() - start)
            del batch, batches
        else:
            epoch = reader.epoch(command["shuffle"], command["batch_size"], command["seed"])
            answer(**measure(workload, epoch, request["rows"], check=command["check"]))


def measure(workload: Any, batches: Iterator[Batch], rows: int, *, check: bool) -> dict[str, Any]:
    """Consumes an epoch. Every batch is touched, so a lazy one is read; its row numbers are kept for the proof.

    With `check` every value that names its row is compared, and the time means nothing.
    """
    ids: list[Array] = []
    wrong = 0
    start = time.perf_counter()
    for batch in batches:
        workload.touch(batch)
        ids.append(np.array(workload.ids(batch)))
        if check and not workload.check(batch):
            wrong += 1
    seconds = time.perf_counter() - start
    proved = proof(ids, rows)
    return {"seconds": seconds, "rows": proved.rows, "once": proved.once, "mix": proved.mix, "wrong": wrong}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
