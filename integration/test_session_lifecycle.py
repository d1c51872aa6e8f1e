"""Session-keyed datasets go with their Spark application, however that ends, with real processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import dlcache
from dlcache._leases import parse_lease, utc
from dlcache._processes import is_running, this_host

SCRIPT = Path(__file__).with_name("_session_script.py")


@contextmanager
def application(root: Path, end: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """An application that ends in this way, and what it said; a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(root), end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["scopes"] == ["durable", "session", "session"]
        with process_descriptor(said["jvm"]) as jvm:
            try:
                yield process, said
                process.wait(timeout=120)
                wait_for(jvm)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise


@contextmanager
def process_descriptor(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for(process: int) -> None:
    """Until the process of this descriptor has ended, which is nobody's child here."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    assert poll.poll(120_000)


def local(uri: str) -> Path:
    return Path(urlsplit(uri).path)


def there(said: dict[str, Any]) -> dict[str, bool]:
    return {name: local(said[name]).exists() for name in ("durable", "unread", "read")}


ENDED = {"durable": True, "unread": False, "read": False}


@pytest.mark.parametrize(("end", "code"), [("return", 0), ("raise", 1)])
def test_the_end_of_the_program(tmp_path: Path, end: str, code: int) -> None:
    with application(tmp_path, end) as (process, said):
        pass
    assert process.returncode == code
    assert there(said) == ENDED
    assert dlcache.verify(said["durable"])


def test_stop_leaves_what_is_still_read_to_the_end_of_the_reader(tmp_path: Path) -> None:
    with application(tmp_path, "stop") as (process, said):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"durable": True, "unread": False, "read": True}
    assert process.returncode == 0
    assert there(said) == ENDED


def test_sigterm(tmp_path: Path) -> None:
    with application(tmp_path, "wait") as (process, said):
        assert there(said) == {"durable": True, "unread": True, "read": True}
        os.killpg(process.pid, signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM
    assert there(said) == ENDED


def test_after_sigkill_gc_finds_them_by_their_leases(tmp_path: Path) -> None:
    with application(tmp_path, "wait") as (process, said):
        leases = [path for name in ("unread", "read") for path in local(said[name]).glob("_dlcache/leases/*.json")]
        held = [parse_lease(path.read_bytes()) for path in leases]
        now = datetime.now(timezone.utc)
        for lease in held:
            assert lease is not None
            assert (lease.kind, lease.pid, lease.host) == ("application", said["jvm"], this_host())
            assert lease.is_live(now, this_host(), is_running)
            assert lease.is_live(now, "another host", is_running)
        assert len(held) == 2
        assert dlcache.gc(tmp_path, grace=0, retention=0).bytes == 0

        os.kill(said["jvm"], signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
    assert there(said) == {"durable": True, "unread": True, "read": True}

    unread, read = leases
    elsewhere = json.loads(read.read_text()) | {"host": "elsewhere"}
    read.write_text(json.dumps(elsewhere))
    report = dlcache.gc(tmp_path)
    (gone,) = [dataset for dataset in report.datasets if dataset.removed]
    assert gone.path == str(unread.parents[2])
    assert gone.removed[0].reason.startswith("session-keyed, and its Spark application ")
    assert there(said) == {"durable": True, "unread": False, "read": True}  # of another host one knows by the time only

    read.write_text(json.dumps(elsewhere | {"expires-at": utc(now - timedelta(seconds=1))}))
    dlcache.gc(tmp_path)
    assert there(said) == ENDED
