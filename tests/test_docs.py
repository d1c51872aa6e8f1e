"""The tables of docs/plan-key.md name a test in each row: every one of them is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCALA = "\n".join(path.read_text() for path in sorted(ROOT.glob("jvm/src/test/scala/**/*.scala")))
TEST_FILES = [path for folder in ("tests", "integration") for path in (ROOT / folder).glob("test_*.py")]
PYTHON = "\n".join(path.read_text() for path in TEST_FILES)
SCALA_TESTS = re.findall(r'\btest\(\s*s?"((?:[^"\\]|\\.)*)"', SCALA)


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a Markdown text: titles, and rows of cells."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
        lines = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in block.splitlines()]
        yield lines[0], lines[2:]


def named_tests() -> list[str]:
    """What the tables say where their last column is `test`, one for each test."""
    text = (ROOT / "docs" / "plan-key.md").read_text()
    cells = [row[-1] for titles, rows in tables(text) if titles[-1] == "test" for row in rows]
    return sorted({name.strip() for cell in cells for name in cell.split(";")})


def is_there(name: str) -> bool:
    """`test_x` and `XSuite` in backticks, or the name of a Scala test, with its suite before it or not; `…` at its end
    stands for anything."""
    words = re.fullmatch(r"`(\w+)`(?:, `(\w+)`)*", name)
    if words is not None:
        return all(
            re.search(rf"^def {word}\(", PYTHON, re.M) if word.startswith("test_") else f"class {word} " in SCALA
            for word in re.findall(r"`(\w+)`", name)
        )
    suite, _, own = name.rpartition("`: ")
    start = own.removesuffix("…").strip()
    found = any(test == own or (own.endswith("…") and test.startswith(start)) for test in SCALA_TESTS)
    return found and (not suite or f"class {suite[1:]} " in SCALA)


@pytest.mark.parametrize("name", named_tests())
def test_each_row_of_the_tables_names_tests_that_are_there(name: str) -> None:
    assert is_there(name)


def test_what_is_not_there_is_seen() -> None:
    assert len(named_tests()) > 50
    for name in ("", "`test_no_such_thing`", "`NoSuite`: files: …", "keeps: no such thing", "`NoSuite`"):
        assert not is_there(name)
