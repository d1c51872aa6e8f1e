"""`python -m benchmarks`: measures, prints Markdown, and keeps it in docs/benchmarks.md with its chart."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.contest import CELLS, FIRST_BATCH, WRITES, Cell
from benchmarks.rounds import BenchmarkError, CellResult, Workers, first_batches, run_cell
from benchmarks.workloads import QUICK_ROWS, ROWS, WORKLOADS

DOCS = Path(__file__).resolve().parent.parent / "docs"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rows and two rounds, in two minutes; docs/ stays as it is"
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        default="",
        help="only comparisons whose name contains NAME; writes are called 'write ...'",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each comparison (default: 5, with --quick 2)")
    parser.add_argument(
        "--data-dir", type=Path, help="where the data is made, and kept (default: a temporary directory, removed)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="the directory of benchmarks.md, benchmarks.png and benchmarks.json (default: docs/ for a full run)",
    )
    parser.add_argument(
        "--saved", type=Path, metavar="FILE", help="measure nothing: write the page and chart of an earlier run's JSON"
    )
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    if args.saved is not None:
        saved = json.loads(args.saved.read_text())
        keep(report.from_json(saved), saved, args.output or DOCS)
        return
    rounds = args.rounds or (2 if args.quick else 5)
    cells = [cell for cell in CELLS if args.only in cell.name]
    writes = [write.name for write in WRITES if args.only in f"write {write.name}"]
    if not cells and not writes:
        names = "\n  ".join([*(cell.name for cell in CELLS), *(f"write {write.name}" for write in WRITES)])
        sys.exit(f"--only {args.only!r}: no comparison has this in its name. They are:\n  {names}")
    failed: list[str] = []
    with data_directory(args.data_dir) as data:
        rows = QUICK_ROWS if args.quick else ROWS
        results = run(cells, writes, data, rows, rounds, failed)
        command = " ".join(["python -m benchmarks", *sys.argv[1:]])
        saved = report.to_json(results, command)
        (data / "benchmarks.json").write_text(json.dumps(saved, indent=1) + "\n")
        print(report.page(results, command, saved["machine"]))
        output = args.output or (DOCS if not args.quick and not args.only and not failed else None)
        if output is not None:
            keep(results, saved, output)
    if failed:
        sys.exit("\n".join(["these comparisons failed, and are not in the table:", *failed]))


def run(
    cells: Sequence[Cell], writes: Sequence[str], data: Path, rows: dict[str, int], rounds: int, failed: list[str]
) -> report.Results:
    """Makes the data, then Spark's part, then one comparison of readers after another. One that fails is added to
    `failed`, and the others go on."""
    stored = {cell.workload for cell in cells} | {write.workload for write in WRITES if write.name in writes}
    for name in sorted(stored):
        directory = data / name
        if not directory.exists():
            say(f"making {name}, {rows[name]:,} rows")
            directory.mkdir(parents=True)
            WORKLOADS[name].make(directory, rows[name])
    say("Spark")
    written = list(spark(data, rows, writes, sorted(stored), max(2, rounds - 2)))
    measured: list[CellResult] = []
    first: dict[str, float] = {}
    for name, of_one in groupby(cells, lambda cell: cell.workload):
        with Workers(name, data / name, rows[name]) as workers:
            for cell in of_one:
                start = time.perf_counter()
                try:
                    measured.append(run_cell(cell, workers, rounds))
                    if cell.name == FIRST_BATCH:
                        first = first_batches(cell, workers, min(3, rounds))
                except BenchmarkError as error:
                    failed.append(str(error))
                    say(f"failed: {error}")
                say(f"{cell.name}: {time.perf_counter() - start:.0f} s")
    return report.Results(tuple(measured), first, tuple(written))


def spark(data: Path, rows: dict[str, int], writes: Sequence[str], stored: Sequence[str], rounds: int) -> Iterator[Any]:
    """The results of benchmarks.spark. It writes datasets too, for the workloads that no measured write leaves."""
    left = {write.workload for write in WRITES if write.name in writes and write.share == 1}
    needed = [name for name in stored if name not in left and not (data / name / "dlcache").exists()]
    if not writes and not needed:
        return
    request = {"data": str(data), "rows": rows, "writes": writes, "datasets": needed, "rounds": rounds}
    tree = Path(__file__).resolve().parent.parent
    path = os.pathsep.join([str(tree), str(tree / "python")])
    command = [sys.executable, "-m", "benchmarks.spark", json.dumps(request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            result = json.loads(line)
            say(f"  {result['name']}: {result['written']}")
            yield result
    if process.returncode:
        sys.exit(f"benchmarks.spark ended with {process.returncode}")


def keep(results: report.Results, saved: dict[str, Any], output: Path) -> None:
    """Writes the page, its chart and the numbers; the words around the measured part stay."""
    measured = report.page(results, saved["command"], saved["machine"])
    output.mkdir(parents=True, exist_ok=True)
    (output / "benchmarks.json").write_text(json.dumps(saved, indent=1) + "\n")
    page = output / "benchmarks.md"
    document = page.read_text() if page.exists() else f"# Benchmarks\n\n{report.BEGIN}\n{report.END}\n"
    page.write_text(report.replaced(document, measured))
    if results.cells:
        report.draw(results, output / "benchmarks.png")


@contextmanager
def data_directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="dlcache-benchmarks-") as directory:
        yield Path(directory)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
