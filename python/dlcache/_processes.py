"""Who runs where: the identity of this machine's process table, and whether a process of it is still there."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys


@functools.cache
def this_host() -> str:
    """Names the table of processes that this process sees: two processes with the same text can ask for each other by
    pid. So a restarted machine or another container is another host, also where the host name is the same."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # not Linux: the name is all there is
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        parts += [boot, os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def process_start(pid: int) -> str | None:
    """When the process `pid` started, in clock ticks since the boot, as text. It tells a process from a later one with
    the same pid. None where the system does not say, or if there is no such process."""
    stat = _stat(pid)
    return None if stat is None else stat[19].decode("ascii")


def is_running(pid: int, start: str | None) -> bool | None:
    """True if the process with this pid and start is there, False if it is gone, None if nobody can say."""
    if sys.platform == "win32":
        return None  # to ask with a signal would end the process there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and another user's
    stat = _stat(pid)
    if stat is None:
        return None
    if stat[0] in (b"Z", b"X"):
        return False  # it has ended, and its parent has not asked for its exit status
    return None if start is None else stat[19].decode("ascii") == start


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat behind the name of the command: the state first, the start at 19."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None
