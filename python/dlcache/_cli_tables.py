"""What the commands show, as rich tables and lines. No colours or boxes are needed to read them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._cli_values import plain, size
from ._facts import ColumnFacts, column_facts, expires_at
from ._leases import utc
from ._lifecycle import DatasetReport, GcReport
from ._manifest import Manifest


def show(*parts: Table | str) -> None:
    """Print tables and lines: to a terminal in its width, else each row in one line and without escapes."""
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, emoji=False, markup=False)
    for part in parts:
        if isinstance(part, Table):
            console.print(part)
        else:
            console.print(Text(plain(part)))


def _table(titles: Mapping[str, str], rows: Iterable[Sequence[object]]) -> Table:
    """titles: each with `<` or `>`, how its column is aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, side in titles.items():
        table.add_column(title, justify="right" if side == ">" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def datasets(found: Sequence[Mapping[str, Any]]) -> Table | str:
    """The datasets of a root, one row each."""
    if not found:
        return "no datasets"
    numbers, words = ("rows", "size", "shards", "version"), ("created", "expires", "key")
    titles = {"path": "<", **dict.fromkeys(numbers, ">"), **dict.fromkeys(words, "<")}
    return _table(
        titles,
        (
            (
                each["path"],
                f"{each['rows']:,}",
                size(each["bytes"]),
                each["shards"],
                each["version"],
                each["created-at"],
                each["expires-at"] or "",
                f"{each['scope']} {each['digest'][:12]}",
            )
            for each in found
        ),
    )


def dataset(path: str, manifest: Manifest, versions: Sequence[int]) -> list[Table | str]:
    """One dataset, whole."""
    key = manifest.plan_key
    application = f", Spark application {key.application_id}" if key.application_id else ""
    facts = {
        "path": path,
        "rows": f"{manifest.rows:,}",
        "size": f"{size(manifest.bytes)} in {len(manifest.shards):,} shards",
        "version": f"{manifest.version} of {', '.join(map(str, versions))}",
        "created": f"{utc(manifest.created_at)} by {manifest.created_by}",
        "expires": expires_at(manifest) or "never",
        "key": f"{key.scope} {key.digest}{application}",
        "options": ", ".join(f"{name}={value}" for name, value in sorted(manifest.options.items())) or "none",
    }
    return [
        _table({"dataset": "<", "": "<"}, facts.items()),
        "",
        _columns([column_facts(manifest, column.name) for column in manifest.columns]),
    ]


def _columns(facts: Sequence[ColumnFacts]) -> Table:
    titles = {
        "column": "<",
        "type": "<",
        "storage": "<",
        "shape": "<",
        "nulls": ">",
        "min": ">",
        "max": ">",
        "mean": ">",
        "raw": "<",
    }
    numbers = ("min", "max", "mean")
    return _table(
        titles,
        (
            (
                fact.name,
                fact.type,
                fact.storage,
                fact.shape,
                f"{fact.nulls:,}",
                *(f"{fact.summary[name]:.6g}" if name in fact.summary else "" for name in numbers),
                "yes" if fact.raw else f"no: {fact.why_not_raw}",
            )
            for fact in facts
        ),
    )


def collected(report: GcReport) -> list[Table | str]:
    """What `gc` did or would do."""
    parts: list[Table | str] = []
    went = [
        (f"{each.path}/{removal.path}", size(removal.bytes), removal.reason)
        for each in report.datasets
        for removal in each.removed
    ]
    if went:
        parts += [_table({"would go" if report.dry_run else "deleted": "<", "size": ">", "because": "<"}, went), ""]
    stayed = [
        (f"{each.path}/{kept.path}".rstrip("/"), kept.reason) for each in report.datasets for kept in each.kept
    ] + [(each.path, each.deferred) for each in report.datasets if each.deferred is not None]
    if stayed:
        parts += [_table({"kept": "<", "because": "<"}, stayed), ""]
    other = [f"{each.path}/{name}" for each in report.datasets for name in each.foreign] + list(report.skipped)
    if other:
        parts += [_table({"not dlcache's, left alone": "<"}, ([name] for name in other)), ""]
    files = sum(len(each.removed) for each in report.datasets)
    gone = sum(each.deleted for each in report.datasets)
    verb = "would delete" if report.dry_run else "deleted"
    total = f"{verb} {files:,} files, {size(report.bytes)}; {gone:,} of {len(report.datasets):,} datasets whole"
    return [*parts, total]


def deleted(reports: Sequence[DatasetReport], *, dry_run: bool) -> list[Table | str]:
    """What `rm` did or would do."""
    lines: list[Table | str] = []
    for report in reports:
        verb = "would delete" if dry_run else "deleted"
        lines.append(f"{report.path}: {verb} {len(report.removed):,} files, {size(report.bytes)}")
        if report.deferred is not None:
            lines.append(f"{report.path}: {report.deferred}")
        lines += [f"{report.path}/{name}: not written by dlcache, left alone" for name in report.foreign]
    return lines
