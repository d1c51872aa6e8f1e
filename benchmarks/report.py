"""Results → medians, ratios, Markdown and one chart. Pure, but for `draw`."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.contest import (
    BEST_PEER,
    CELLS,
    FIRST_BATCH,
    FIRST_BATCH_SECONDS,
    MEMORY_MB,
    SPARKS,
    WRITES,
    Cell,
    Target,
)
from benchmarks.rounds import CellResult, Measured
from benchmarks.workloads import Proof

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PACKAGES = ("numpy", "pyarrow", "torch", "tensorflow", "pyspark", "pillow")


@dataclass(frozen=True)
class Results:
    """Everything that one run measured."""

    cells: tuple[CellResult, ...]
    first: Mapping[str, float]
    writes: tuple[Mapping[str, Any], ...]


def to_json(results: Results, command: str) -> dict[str, Any]:
    """All of it as JSON values: the command, the machine, and for each cell the rows/s of every round."""
    return {
        "command": command,
        "machine": machine(),
        "cells": [
            {
                "name": result.cell.name,
                "measured": [
                    {
                        "contestant": one.contestant.name,
                        "rates": one.rates,
                        "proof": asdict(one.proof),
                        "peak": one.peak,
                    }
                    for one in result.measured
                ],
                "absent": result.absent,
            }
            for result in results.cells
        ],
        "first": dict(results.first),
        "writes": [dict(write) for write in results.writes],
    }


def from_json(saved: Mapping[str, Any]) -> Results:
    """What `to_json` made, with the cells and contestants of today."""
    cells = {cell.name: cell for cell in CELLS}

    def measured(cell: Cell, one: Mapping[str, Any]) -> Measured:
        contestant = next(known for known in cell.contestants if known.name == one["contestant"])
        return Measured(contestant, tuple(one["rates"]), Proof(**one["proof"]), one["peak"])

    found = []
    for entry in saved["cells"]:
        cell = cells[entry["name"]]
        absent = tuple((name, reason) for name, reason in entry["absent"])
        found.append(CellResult(cell, tuple(measured(cell, one) for one in entry["measured"]), absent))
    return Results(tuple(found), saved["first"], tuple(saved["writes"]))


def ratio(rates: Sequence[float], against: Sequence[float]) -> float:
    """The median over the rounds of what a contestant made of the other's speed in the same round."""
    return statistics.median(a / b for a, b in zip(rates, against, strict=True))


def spread(values: Sequence[float]) -> float:
    """Half the range, as a share of the median."""
    return (max(values) - min(values)) / 2 / statistics.median(values)


def best_peer(measured: Iterable[Measured]) -> Measured | None:
    """The fastest peer whose batches are fully shuffled."""
    peers = [one for one in measured if one.contestant.kind == "peer" and one.full_shuffle]
    return max(peers, key=lambda one: statistics.median(one.rates), default=None)


def reached(target: Target, result: CellResult) -> float | None:
    """The ratio that the target asks for; None if one of the two is absent."""
    by_name = {one.contestant.name: one for one in result.measured}
    own = by_name.get(target.contestant)
    other = best_peer(result.measured) if target.against == BEST_PEER else by_name.get(target.against)
    return None if own is None or other is None else ratio(own.rates, other.rates)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first two columns are text, the others numbers."""
    rule = ["---", "---", *("---:" for _ in head[2:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def reading_table(results: Results) -> str:
    head = ("what", "contestant", "rows/s", "spread", "of the limit", "mixed", "memory, MB", "target", "met")
    return markdown_table(head, (row for cell in results.cells for row in _reading_rows(cell)))


def _reading_rows(result: CellResult) -> Iterable[tuple[str, ...]]:
    limit = result.measured[0]
    for number, one in enumerate(result.measured):
        targets = [t for t in result.cell.targets if t.contestant == one.contestant.name]
        found = [(t, reached(t, result)) for t in targets]
        bold = "**" if one.contestant.kind == "dlcache" else ""
        yield (
            result.cell.name if number == 0 else "",
            f"{bold}{one.contestant.name}{bold}",
            f"{statistics.median(one.rates):,.0f}",
            f"±{spread(one.rates):.0%}",
            f"{ratio(one.rates, limit.rates):.2f}",
            f"{one.proof.mix:.2f}" if result.cell.shuffle else "",
            "" if one.peak is None else f"{one.peak / 1e6:,.0f}",
            "; ".join(f"{t.ratio:g} x {t.against}" for t in targets),
            "; ".join("not measured" if value is None else _met(value, t.ratio) for t, value in found),
        )
    for name, reason in result.absent:
        yield ("", name, "left out", "", "", "", "", "", reason.split("\n")[0])


def _met(value: float, least: float) -> str:
    return f"{'yes' if value >= least else '**no**'}, {value:.2f}"


def first_batch_table(first: Mapping[str, float]) -> str:
    head = ("what", "contestant", "ms", "target", "met")
    rows = []
    for number, (name, seconds) in enumerate(first.items()):
        ours = name.startswith("dlcache")
        met = ("yes" if seconds <= FIRST_BATCH_SECONDS else "**no**") if ours else ""
        target = f"{FIRST_BATCH_SECONDS * 1e3:.0f}" if ours else ""
        rows.append((FIRST_BATCH if number == 0 else "", name, f"{seconds * 1e3:,.1f}", target, met))
    return markdown_table(head, rows)


def memory_line(cells: Iterable[CellResult]) -> str:
    """The greatest of dlcache's peaks, beside the target."""
    peaks = [
        (one.peak, result.cell.name)
        for result in cells
        for one in result.measured
        if one.contestant.kind == "dlcache" and one.peak is not None
    ]
    if not peaks:
        return "Memory was not measured: this system has no /proc."
    peak, name = max(peaks)
    met = "met" if peak <= MEMORY_MB * 1e6 else "**not met**"
    what = f"dlcache's greatest peak of anonymous memory above its imports: {peak / 1e6:,.0f} MB ({name})"
    return f"{what}; target {MEMORY_MB} MB: {met}."


def writing_table(writes: Iterable[Mapping[str, Any]]) -> str:
    head = ("what", "writer", "seconds", "spread", "of Spark's Parquet", "target", "met")
    return markdown_table(head, _timed_rows(writes, "written", {write.name: write.target for write in WRITES}))


def spark_reading_table(writes: Iterable[Mapping[str, Any]]) -> str:
    head = ("what", "read by Spark", "seconds", "spread", "of Spark's Parquet", "target", "met")
    reads = [
        {"name": f"{write['name']}, {shape}", "rows": write["rows"], "read": seconds}
        for write in writes
        for shape, seconds in write["read"].items()
    ]
    return markdown_table(head, _timed_rows(reads, "read", {read["name"]: 1.0 for read in reads}))


def _timed_rows(
    writes: Iterable[Mapping[str, Any]], what: str, targets: Mapping[str, float]
) -> Iterable[tuple[str, ...]]:
    """Speeds are the inverse of seconds: 4 means a quarter of the time of Spark's own."""
    for write in writes:
        spark = write[what][SPARKS]
        for number, (name, seconds) in enumerate(write[what].items()):
            speed = ratio([1 / s for s in seconds], [1 / s for s in spark])
            ours = name == "dlcache"
            yield (
                f"{write['name']}, {write['rows']:,} rows" if number == 0 else "",
                f"**{name}**" if name.startswith("dlcache") else name,
                f"{statistics.median(seconds):.2f}",
                f"±{spread(seconds):.0%}",
                f"{speed:.2f}",
                f"{targets[write['name']]:g} x" if ours else "",
                _met(speed, targets[write["name"]]) if ours else "",
            )


def page(results: Results, command: str, where: str) -> str:
    """The measured part of docs/benchmarks.md. where: `machine()` of then."""
    parts = [f"`{command}`, on {where}."]
    if results.cells:
        parts += ["", "![Share of the limit](benchmarks.png)"]
        parts += ["", "### Reading", "", reading_table(results), "", memory_line(results.cells)]
    if results.first:
        parts += ["", "### Time to the first batch", "", first_batch_table(results.first)]
    if results.writes:
        parts += ["", "### Writing from Spark", "", writing_table(results.writes)]
        parts += ["", "### Reading with Spark", "", spark_reading_table(results.writes)]
    return "\n".join(parts) + "\n"


def replaced(document: str, measured: str) -> str:
    """`document` with what is between the two marks exchanged; the words around them are people's."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{measured}{END}{after}"


def machine() -> str:
    """The processor, its cores, the system and the versions, in words."""
    import os

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version}" for name, version in _versions())
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}, {versions}"


def _versions() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def draw(results: Results, path: Path) -> None:
    """One panel for each cell: every contestant's share of the limit, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 2
    lines = -(-len(results.cells) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(13, 2.4 * lines), squeeze=False, layout="constrained")
    colours = {"limit": "#9aa0a6", "dlcache": "#1a73e8", "peer": "#f29900"}
    for axis in axes.flat[len(results.cells) :]:
        axis.set_visible(False)
    for axis, result in zip(axes.flat, results.cells, strict=False):
        shown = result.measured[::-1]
        values = [ratio(one.rates, result.measured[0].rates) for one in shown]
        bars = axis.barh(
            [one.contestant.name for one in shown], values, color=[colours[one.contestant.kind] for one in shown]
        )
        axis.bar_label(bars, [f"{value:.2g}" for value in values], padding=3, fontsize=8)
        axis.set_xscale("log")
        axis.set_xlim(min(0.005, *values), max(4.0, *values) * 2)
        axis.axvline(1, color="#5f6368", linewidth=0.8)
        axis.set_title(f"{result.cell.name}: share of the limit", fontsize=9)
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
