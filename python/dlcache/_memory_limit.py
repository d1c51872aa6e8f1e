"""How much memory this process may use: that of the machine, or what a container or another control group leaves it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")


def memory_limit(of_process: Path = Path("/proc/self/cgroup"), groups: Path = _GROUPS) -> int | None:
    """Bytes; None where the system does not say. The limit of a control group bounds its files in memory too."""
    limits: list[int] = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not a Unix, or one that does not say
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError):
        for path in _files(of_process.read_text(), groups):
            with contextlib.suppress(OSError, ValueError):  # a group that is not to be seen from here, or "max"
                limits.append(int(path.read_text()))
    return min((limit for limit in limits if limit > 0), default=None)


def _files(text: str, groups: Path) -> Iterator[Path]:
    """The files with the limits of the control groups that a process is in, and of those around them: of version 2,
    and of version 1. In a container the innermost may not be there; its limit is then the root's."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = PurePosixPath(path.lstrip("/"))
        yield from (root / around / name for around in (folder, *folder.parents))
