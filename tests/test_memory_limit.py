"""How much memory a process may use, by the files that Linux has of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcache._memory_limit import memory_limit

MACHINE = memory_limit(Path("no-such-file"))


def test_the_machine_says_how_much_it_has() -> None:
    assert MACHINE is not None and MACHINE > 1 << 28


@pytest.mark.parametrize(
    "groups, files, limit",
    [
        ("0::/\n", {"memory.max": "4096000\n"}, 4096000),
        ("0::/\n", {"memory.max": "max\n"}, MACHINE),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "8192\n", "memory.max": "9999\n"}, 8192),
        ("0::/not/seen\n", {"memory.max": "8192\n"}, 8192),
        ("9:cpu:/\n4:memory:/x/y\n0::/\n", {"memory/x/y/memory.limit_in_bytes": "777777\n"}, 777777),
        ("4:hugetlb,memory:/x\n", {"memory/memory.limit_in_bytes": "777777\n"}, 777777),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ("3:cpu:/\n", {"memory.max": "5\n"}, MACHINE),
        ("0::/\n", {}, MACHINE),
    ],
)
def test_the_least_of_all_groups_around_counts(tmp_path: Path, groups: str, files: dict[str, str], limit: int) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_limit(tmp_path / "cgroup", tmp_path / "groups") == limit
