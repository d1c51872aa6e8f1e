"""The commands: each reads its arguments, calls the package, and shows the result as a table or as JSON.

Exit codes: 0 all is well; 1 a problem was found, or the request was refused; 2 the command line is wrong; 3 there is no
dataset at the path; 4 the storage cannot be used.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Annotated, Any, ParamSpec

import typer

from . import _cli_tables as tables
from ._cli_values import duration, plain
from ._dataset import Dataset, load
from ._errors import DlcacheError, NotADatasetError, OptionError, StorageError
from ._facts import column_json, dataset_json
from ._files import Files
from ._lifecycle import DatasetReport, datasets_in, delete, gc
from ._root import root as default_root
from ._verify import VerifyReport, verify

PROBLEM, USAGE, NO_DATASET, STORAGE = 1, 2, 3, 4

app = typer.Typer(
    name="dlcache",
    help="Look after datasets of dlcache.",
    epilog="Exit codes: 0 all is well; 1 a problem was found, or the request was refused; 2 the command line is wrong; "
    "3 there is no dataset at the path; 4 the storage cannot be used.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

P = ParamSpec("P")

Root = Annotated[str | None, typer.Argument(help="The directory of datasets. Default: DLCACHE_ROOT, else the user's.")]
Path = Annotated[str, typer.Argument(help="A dataset: a path or URI.")]
Paths = Annotated[list[str], typer.Argument(help="Datasets: paths or URIs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Also take files from live readers and writers.")]
Version = Annotated[int | None, typer.Option(help="Which version. Default: the newest.", min=1)]
Pages = Annotated[bool, typer.Option("--pages", help="Decode every page too, and check its checksum.")]


Grace = Annotated[str, typer.Option(metavar="TIME", help="How old a file must be that nothing names.")]
Retention = Annotated[str, typer.Option(metavar="TIME", help="How long a superseded version stays.")]


def command(name: str) -> Callable[[Callable[P, int]], Callable[P, None]]:
    """A command of the app: the function returns the exit code, and our errors become a line and a code."""

    def decorate(function: Callable[P, int]) -> Callable[P, None]:
        @app.command(name=name)
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="backslashreplace")
            try:
                code = function(*args, **kwargs)
            except DlcacheError as error:
                _complain(error)
                code = _code_of(error)
            raise typer.Exit(code)

        return run

    return decorate


def _complain(problem: object) -> None:
    typer.echo(f"dlcache: {plain(problem)}", err=True)


def _code_of(error: DlcacheError) -> int:
    codes = ((NotADatasetError, NO_DATASET), (OptionError, USAGE), (StorageError, STORAGE))
    return next((code for kind, code in codes if isinstance(error, kind)), PROBLEM)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2))


class _Problems:
    """The paths for which a command has failed: each is complained about, and the others are still looked at."""

    def __init__(self) -> None:
        self.code = 0
        self.found: list[dict[str, str]] = []

    @contextmanager
    def of(self, path: str) -> Iterator[None]:
        """Note a failure of ours in this block."""
        try:
            yield
        except DlcacheError as error:
            self.found.append({"path": path, "problem": str(error)})
            self.code = max(self.code, _code_of(error))

    def complain(self) -> None:
        for each in self.found:
            _complain(each["problem"])


@command("ls")
def ls(root: Root = None, as_json: Json = False) -> int:
    """List the datasets in a directory."""
    place = root if root is not None else default_root()
    directories, _ = datasets_in(Files.of(place))
    found: list[Dataset] = []
    problems = _Problems()
    for files in directories:
        with problems.of(files.path), suppress(NotADatasetError):
            found.append(load(files.path))
    if as_json:
        _print_json(
            {
                "root": place,
                "datasets": [dataset_json(dataset.path, dataset.manifest) for dataset in found],
                "problems": problems.found,
            }
        )
    else:
        tables.show(tables.datasets([dataset_json(dataset.path, dataset.manifest) for dataset in found]))
        problems.complain()
    return problems.code


@command("info")
def info(path: Path, version: Version = None, as_json: Json = False) -> int:
    """Show a dataset: its columns, how they are stored, statistics, sizes, versions and key."""
    dataset = load(path, version=version)
    versions = dataset.store.versions()
    if as_json:
        manifest = dataset.manifest
        _print_json(
            {
                **dataset_json(dataset.path, manifest),
                "versions": versions,
                "dataset-id": manifest.dataset_id,
                "created-by": manifest.created_by,
                "options": dict(manifest.options),
                "columns": [column_json(manifest, name) for name in dataset.columns],
            }
        )
    else:
        tables.show(*tables.dataset(dataset.path, dataset.manifest, versions))
    return 0


@command("explain")
def explain(
    path: Path,
    other: Annotated[str | None, typer.Argument(help="Another dataset. Default: the nearest one beside it.")] = None,
    as_json: Json = False,
) -> int:
    """Say what a dataset's plan key was made of, and what differs from another dataset's."""
    explanation = load(path).explain(other)
    if as_json:
        _print_json(explanation.to_dict())
    else:
        typer.echo("\n".join(map(plain, explanation.lines)))
    return 0


@command("verify")
def verify_datasets(paths: Paths, version: Version = None, pages: Pages = False, as_json: Json = False) -> int:
    """Check every shard against the manifest: size, checksum, footer, and where raw values lie."""
    reports: list[VerifyReport] = []
    failures = _Problems()
    for path in paths:
        with failures.of(path):
            reports.append(verify(path, version=version, pages=pages))
            if not as_json:
                _show_verified(reports[-1])
    if as_json:
        _print_json({"datasets": [report.to_dict() for report in reports], "problems": failures.found})
    failures.complain()
    return max(failures.code, 0 if all(reports) else PROBLEM)


def _show_verified(report: VerifyReport) -> None:
    for problem in report.problems:
        typer.echo(plain(f"{report.path}/{problem.path}: {problem.problem}"))
    count = f"{len(report.problems)} problems" if report.problems else "ok"
    typer.echo(plain(f"{report.path}: {count}: version {report.version}, {report.shards} shards"))


@command("gc")
def collect(
    root: Root = None,
    grace: Grace = "1d",
    retention: Retention = "1d",
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Delete what nobody needs: expired and session datasets, old versions, what failed writers left.

    TIME is seconds, or a number with s, m, h, d or w, as 12h.
    """
    place = root if root is not None else default_root()
    report = gc(place, grace=duration(grace), retention=duration(retention), dry_run=dry_run, force=force)
    if as_json:
        _print_json(report.to_dict())
    else:
        tables.show(*tables.collected(report))
    return PROBLEM if report.problems else 0


@command("rm")
def rm(paths: Paths, force: Force = False, dry_run: DryRun = False, as_json: Json = False) -> int:
    """Delete datasets: all their versions, and only files that dlcache wrote.

    If one of the paths is no dataset, or is in use, nothing is deleted.
    """
    failures = _Problems()
    places: dict[tuple[str, ...], Files] = {}
    reports: list[DatasetReport] = []
    for path in paths:
        with failures.of(path):
            files = Files.of(path)
            if files.store.identity not in places:
                reports.append(delete(files, force=force, dry_run=True))
                places[files.store.identity] = files
    if not dry_run:
        reports = []
        if not failures.found:
            for files in places.values():
                with failures.of(files.path):
                    reports.append(delete(files, force=force))
        else:
            for files in places.values():
                problem = f"{files.path} was not deleted, because another path was refused"
                failures.found.append({"path": files.path, "problem": problem})
    if as_json:
        _print_json(
            {
                "dry-run": dry_run,
                "datasets": [report.to_dict() for report in reports],
                "problems": failures.found,
            }
        )
    else:
        tables.show(*tables.deleted(reports, dry_run=dry_run))
    failures.complain()
    return failures.code
