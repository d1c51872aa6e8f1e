"""The command line: what it says, its JSON, its exit codes, and that no dataset can command the terminal."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from _roots import DIGEST, OLD, YOUNG, ago, lease, publish, put, shard_name, tree
from _writer import write
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import dlcache
from dlcache._cli_app import app
from dlcache._cli_values import duration, plain, size
from dlcache._leases import utc

TEXT, WHOLE = {"type": "string"}, {"type": "integer", "minimum": 0}


def record(**members: Any) -> dict[str, Any]:
    """The schema of an object with exactly these members."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def many(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def maybe(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


DATASET = {
    "path": TEXT,
    "version": WHOLE,
    "rows": WHOLE,
    "bytes": WHOLE,
    "shards": WHOLE,
    "created-at": TEXT,
    "expires-at": maybe("string"),
    "scope": {"enum": ["durable", "session", "user"]},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "application-id": maybe("string"),
}
COLUMN = {
    "name": TEXT,
    "storage": TEXT,
    "dtype": maybe("string"),
    "shape": maybe("array"),
    "lengths": maybe("array"),
    "logical": maybe("string"),
    "udt": maybe("string"),
    "nulls": WHOLE,
    "null-elements": WHOLE,
    "raw": {"type": "boolean"},
    "why-not-raw": maybe("string"),
    "statistics": maybe("object"),
}
PROBLEM = record(path=TEXT, problem=TEXT)
REPORT = record(
    path=TEXT,
    deleted={"type": "boolean"},
    bytes=WHOLE,
    removed=many(record(path=TEXT, bytes=WHOLE, reason=TEXT)),
    kept=many(record(path=TEXT, reason=TEXT)),
    foreign=many(TEXT),
    deferred=maybe("string"),
    problem=maybe("string"),
)
SCHEMAS = {
    "ls": record(root=TEXT, datasets=many(record(**DATASET)), problems=many(PROBLEM)),
    "info": record(
        **DATASET,
        **{"versions": many(WHOLE), "dataset-id": TEXT, "created-by": TEXT, "options": {"type": "object"}},
        columns=many(record(**COLUMN)),
    ),
    "explain": record(
        **{"path": TEXT, "scope": TEXT, "digest": TEXT, "made-of": many(TEXT), "other": maybe("string")},
        differences=many(TEXT),
    ),
    "verify": record(
        datasets=many(record(path=TEXT, version=WHOLE, shards=WHOLE, bytes=WHOLE, problems=many(PROBLEM))),
        problems=many(PROBLEM),
    ),
    "gc": record(
        **{
            "root": TEXT,
            "dry-run": {"type": "boolean"},
            "bytes": WHOLE,
            "datasets": many(REPORT),
            "skipped": many(TEXT),
        }
    ),
    "rm": record(**{"dry-run": {"type": "boolean"}, "datasets": many(REPORT), "problems": many(PROBLEM)}),
}


def run(*arguments: object) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the command."""
    # Before 8.2 click puts both outputs together, unless it is told not to.
    separate: Any = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner.__init__).parameters else {}
    result = CliRunner(**separate).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def run_json(name: str, *arguments: object, code: int = 0) -> Any:
    """The JSON that a command prints, checked against its schema."""
    exit_code, out, _ = run(name, *arguments, "--json")
    assert exit_code == code
    document = json.loads(out)
    jsonschema.validate(document, SCHEMAS[name])
    return document


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = pa.table(
        {
            "x": np.arange(40),
            "v": pa.array([[1.0, 2.0]] * 40, pa.list_(pa.float32())),
            "n": pa.array([None, *range(39)], pa.int32()),
            "evil\x1b[31m\n": ["a"] * 40,
        }
    )
    root = tmp_path / "root"
    now: dict[str, Any] = {"created-at": utc(ago(60)), "ttl-seconds": 10**6}
    write(root / "train", rows, shard_rows=20, row_group_rows=10, **now)
    write(root / "train", rows, append=True, **now)
    put(root / "notes.txt")
    put(root / "photos" / "a.jpg")
    return root


def test_ls(root: Path) -> None:
    code, out, _ = run("ls", root)
    assert code == 0
    title, line = out.splitlines()
    assert title.split() == ["path", "rows", "size", "shards", "version", "created", "expires", "key"]
    assert line.split()[:2] == [str(root / "train"), "80"]
    (only,) = run_json("ls", root)["datasets"]
    assert (only["rows"], only["shards"], only["version"]) == (80, 3, 2)
    put(root / "bad" / "_dlcache" / f"{1:020d}.json", b"{")
    assert "bad" in run("ls", root)[2]
    assert len(run_json("ls", root, code=1)["problems"]) == 1


def test_ls_shows_what_it_can_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "other", pa.table({"x": np.arange(5)}))

    def refuse(path: str) -> dlcache.Dataset:
        if path.endswith("other"):
            raise dlcache.StorageError(f"cannot list {path}: no permission")
        return dlcache.load(path)

    monkeypatch.setattr("dlcache._cli_app.load", refuse)
    document = run_json("ls", root, code=4)
    assert [each["path"] for each in document["datasets"]] == [str(root / "train")]
    assert [each["path"] for each in document["problems"]] == [str(root / "other")]


def test_ls_of_the_default_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCACHE_ROOT", str(root))
    assert run("ls") == run("ls", root)
    assert run_json("ls")["root"] == str(root)


def test_info(root: Path) -> None:
    document = run_json("info", root / "train")
    assert document["versions"] == [1, 2]
    columns = {column["name"]: column for column in document["columns"]}
    assert columns["v"]["shape"] == [2]
    assert columns["x"]["raw"] is True
    assert columns["n"]["raw"] is False
    assert columns["n"]["why-not-raw"] == "2 rows are null"
    code, out, _ = run("info", root / "train", "--version", 1)
    assert code == 0
    assert "version  1 of 1, 2" in out
    assert "no: 1 rows are null" in out
    assert run_json("info", root / "train", "--version", 1)["rows"] == 40


def test_nothing_commands_the_terminal(root: Path) -> None:
    for arguments in (["info", root / "train"], ["ls", root], ["explain", root / "train"], ["gc", root]):
        _, out, err = run(*arguments)
        assert "\x1b" not in out + err
    assert "evil\\x1b[31m\\n " in run("info", root / "train")[1]


@given(st.text())
def test_plain_text_is_printable(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(text) == text or not text.isprintable()


def test_verify(root: Path) -> None:
    code, out, _ = run("verify", root / "train", "--pages")
    assert (code, out) == (0, f"{root / 'train'}: ok: version 2, 3 shards\n")
    shard = next((root / "train" / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert run("verify", root / "train")[0] == 1
    (report,) = run_json("verify", root / "train", code=1)["datasets"]
    assert report["problems"][0]["path"] == f"data/{shard.name}"
    # What cannot be looked at keeps nothing from being reported.
    for paths in ((root / "train", root / "nowhere"), (root / "nowhere", root / "train")):
        code, out, err = run("verify", *paths)
        assert code == 3
        assert f"data/{shard.name}: " in out
        assert f"{root / 'nowhere'} is not a dlcache dataset" in err
        document = run_json("verify", *paths, code=3)
        assert [each["path"] for each in document["datasets"]] == [str(root / "train")]
        assert [each["path"] for each in document["problems"]] == [str(root / "nowhere")]


def test_explain(root: Path) -> None:
    assert run_json("explain", root / "train")["made-of"] == ["the manifest has no explanation"]
    assert run_json("explain", root / "train", root / "train")["other"] == str(root / "train")
    code, out, _ = run("explain", root / "train", root / "train")
    assert code == 0
    assert out.endswith("  the same key\n")
    assert run("explain", root / "train", root / "photos")[0] == 3


def test_gc(root: Path) -> None:
    old = root / DIGEST
    publish(old, 1, [shard_name()], OLD, **{"ttl-seconds": 1})
    job = str(uuid.uuid4())
    lease(root / "train", "writer", live=False, job=job)
    put(root / "train" / shard_name(job), b"half", OLD)
    before = tree(root)
    planned = run_json("gc", root, "--dry-run")
    code, out, _ = run("gc", root, "--dry-run")
    assert code == 0
    assert "would delete 4 files" in out
    assert str(root / "photos") in out
    assert tree(root) == before
    done = run_json("gc", root)
    assert done == planned | {"dry-run": False}
    assert not old.exists()
    assert dlcache.verify(root / "train")
    assert "deleted 0 files, 0 B; 0 of 1 datasets whole" in run("gc", root)[1]
    assert run_json("gc", root, "--retention", "0", "--grace", "1.5h")["datasets"][0]["removed"]
    put(root / "train" / "_dlcache" / f"{3:020d}.json", b"{")
    assert run("gc", root)[0] == 1


def test_a_dry_run_names_exactly_the_right_files(tmp_path: Path) -> None:
    """One root with everything that there can be."""
    root = tmp_path / "root"
    digests = [f"{number:064x}" for number in range(6)]
    session = {"scope": "session", "application-id": "app-1"}
    goes: set[Path] = set()

    live = root / digests[0]
    stays = [publish(live, 1, [shard_name()], OLD)]
    jobs = [str(uuid.uuid4()) for _ in range(2)]
    orphans = [put(live / shard_name(job), b"orphan", age) for job, age in zip(jobs, (OLD, YOUNG), strict=True)]
    writers = [lease(live, "writer", live=False, job=job) for job in jobs]
    temporary = put(live / "_dlcache" / f".{uuid.uuid4()}.tmp", b"", OLD)
    goes |= {orphans[0], writers[0], temporary}
    stays += [
        orphans[1],
        writers[1],
        put(live / "data" / "mine.parquet", b"foreign", OLD),
        put(live / "notes.txt", b"", OLD),
    ]

    expired = root / digests[1]
    goes |= {publish(expired, 1, [shard_name()], OLD, **{"ttl-seconds": 60}), *(expired / "data").iterdir()}
    read = root / digests[2]
    stays += [publish(read, 1, [shard_name()], OLD, **{"ttl-seconds": 60}), *(read / "data").iterdir()]
    stays.append(lease(read, "reader", live=True, version=1))

    ended, running = root / digests[3], root / digests[4]
    for dataset, is_live in ((ended, False), (running, True)):
        key = {"plan-key": session | {"digest": dataset.name}}
        made = [publish(dataset, 1, [shard_name()], OLD, **key), *(dataset / "data").iterdir()]
        made.append(lease(dataset, "application", live=is_live, application_id="app-1"))
        (stays.extend if is_live else goes.update)(made)

    versions = root / "by name"
    goes |= {publish(versions, 1, [shard_name()], OLD), *(versions / "data").iterdir()}
    publish(versions, 2, [shard_name()], OLD)
    stays += [path for path in versions.rglob("*") if path.is_file() and path not in goes]

    failed, job = root / digests[5], str(uuid.uuid4())
    goes |= {put(failed / shard_name(job), b"half", OLD), lease(failed, "writer", live=False, job=job)}

    stays += [put(root / "photos" / "a.jpg"), put(root / "parquet" / "data" / "part-0.parquet", b"", OLD)]
    stays += [put(root / "notes.txt")]
    (root / "link").symlink_to(expired)

    before = tree(root)
    document = run_json("gc", root, "--dry-run")
    assert {Path(each["path"]) / gone["path"] for each in document["datasets"] for gone in each["removed"]} == goes
    assert {Path(each["path"]).name for each in document["datasets"] if each["deleted"]} == {
        expired.name,
        ended.name,
        failed.name,
    }
    assert set(document["skipped"]) == {str(root / name) for name in ("photos", "parquet", "notes.txt", "link")}
    code, out, _ = run("gc", root, "--dry-run")
    assert code == 0
    table = out.partition("\n\n")[0].splitlines()[1:]
    assert {next(path for path in goes if line.startswith(str(path))) for line in table} == goes
    assert len(table) == len(goes)
    assert tree(root) == before

    run("gc", root)
    assert not any(path.exists() for path in goes)
    assert all(path.exists() for path in stays)


def test_rm(root: Path) -> None:
    held = lease(root / "train", "reader", live=True, version=1)
    code, _, err = run("rm", root / "train")
    assert code == 1
    assert "in use by reader" in err
    assert run("rm", root / "photos")[0] == 3
    assert run("rm", root / "nowhere", root / "train")[0] == 3
    held.unlink()
    other = write(root / "other", pa.table({"x": np.arange(5)}))
    for paths in ((other, root / "nowhere"), (root / "nowhere", other), (other, root / "photos")):
        code, out, err = run("rm", *paths)
        assert (code, out) == (3, "")
        assert f"{other} was not deleted, because another path was refused" in err
        assert len(dlcache.load(other)) == 5
    document = run_json("rm", other, root / "nowhere", code=3)
    assert document["datasets"] == []
    assert [each["path"] for each in document["problems"]] == [str(root / "nowhere"), str(other)]
    assert run("rm", other, f"{root}/../root/other")[0] == 0  # one dataset, named twice
    assert not other.exists()
    held = lease(root / "train", "reader", live=True, version=1)
    assert run_json("rm", root / "train", "--dry-run", "--force")["datasets"][0]["deleted"]
    assert (root / "train").exists()
    held.unlink()
    put(root / "train" / "mine.txt")
    code, out, _ = run("rm", root / "train")
    assert code == 0
    assert "mine.txt: not written by dlcache, left alone" in out
    assert [path.name for path in (root / "train").rglob("*")] == ["mine.txt"]


def test_exit_codes(tmp_path: Path) -> None:
    assert run()[0] in (0, 2)  # the help: click calls that a success before 8.2
    assert run("gc", tmp_path, "--grace", "soon")[0] == 2
    assert run("gc", tmp_path, "--nope")[0] == 2
    assert run("info", tmp_path)[0] == 3
    assert run("ls", tmp_path / "nowhere")[0] == 3
    assert run("info", "nofs://bucket/x")[0] == 4
    put(tmp_path / "bad" / "_dlcache" / f"{1:020d}.json", b"{")
    code, _, err = run("info", tmp_path / "bad")
    assert (code, err.count("\n")) == (1, 1)
    assert run("--help")[0] == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("15m", 900), ("12h", 43200), ("7d", 604800), ("2w", 1209600)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "-1", "1y", "d", "1 d d", "1e400", "9" * 40 + "w", "٣"])
def test_no_durations(text: str) -> None:
    with pytest.raises(dlcache.OptionError):
        duration(text)


@given(st.integers(0, 2**62))
def test_sizes(count: int) -> None:
    number, unit = size(count).split(" ")
    scale = 1000 ** ["B", "kB", "MB", "GB", "TB"].index(unit)
    assert abs(float(number) * scale - count) <= 0.05 * scale


def test_python_dash_m_without_the_extra(root: Path) -> None:
    def process(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        )

    start = f"import sys, runpy; sys.argv = ['dlcache', 'ls', {str(root)!r}]; "
    there = process(start + "runpy.run_module('dlcache', run_name='__main__')")
    assert there.returncode == 0
    assert there.stdout == run("ls", root)[1]
    absent = process(start + "sys.modules['typer'] = None; runpy.run_module('dlcache', run_name='__main__')")
    assert absent.returncode == 1
    assert absent.stderr == "The command line of dlcache needs typer: pip install 'dlcache[cli]'\n"
