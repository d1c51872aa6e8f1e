"""What the documents name is there: tests, files, modules, options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlcache

ROOT = Path(__file__).parent.parent
SCALA = "\n".join(path.read_text() for path in sorted(ROOT.glob("jvm/src/test/scala/**/*.scala")))
TEST_FILES = [path for folder in ("tests", "integration") for path in (ROOT / folder).glob("**/test_*.py")]
PYTHON = "\n".join(path.read_text() for path in TEST_FILES)
SCALA_TESTS = re.findall(r'\btest\(\s*s?"((?:[^"\\]|\\.)*)"', SCALA)
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md"))


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a Markdown text: titles, and rows of cells."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
        lines = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in block.splitlines()]
        yield lines[0], lines[2:]


# docs/plan-key.md: names of Scala tests, and of Python's


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


# All documents


def missing(text: str, folder: Path) -> list[str]:
    """What a document in `folder` names and is not there: tests as `file.py::test`, files of ours, links."""
    out, file = [], ""
    for path, name in re.findall(r"`([\w/]*(?:\.py)?)::(\w+)`", text):
        file = path or file
        if not re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.M):
            out.append(f"{file}::{name}")
    files = re.findall(r"`((?:docs|tests|integration|examples|scripts)/[\w/.-]*)`", text)
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text)
    out += [path for path in files if not (ROOT / path).exists()]
    return out + [link for link in links if not (folder / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_files_and_links_are_there(document: Path) -> None:
    assert missing(document.read_text(), document.parent) == []


def test_what_a_document_names_and_is_not_there_is_seen() -> None:
    text = (
        "`tests/test_docs.py::test_no`, `::test_nor_this`, `docs/no.md`, [x](no.md), [y](https://a.b), [z](README.md#a)"
    )
    assert missing(text, ROOT) == [
        "tests/test_docs.py::test_no",
        "tests/test_docs.py::test_nor_this",
        "docs/no.md",
        "no.md",
    ]


def test_every_fault_that_is_tested_is_in_the_table() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    for path in ("integration/test_faults.py", "tests/test_under_a_reader.py", "tests/test_hostile.py"):
        for name in re.findall(r"^def (test_\w+)", (ROOT / path).read_text(), re.M):
            assert f"{path}::{name}" in text, f"docs/reliability.md does not name {path}::{name}"


def test_the_storage_table_names_the_tests_of_storage_and_no_others() -> None:
    storage = (ROOT / "docs" / "reliability.md").read_text().split("\n## ")[1]
    named = set(re.findall(r"`(test_\w+)`", storage))
    assert named == set(re.findall(r"^def (test_\w+)", (ROOT / "integration" / "test_storage.py").read_text(), re.M))


def test_the_readme_names_every_document() -> None:
    text = (ROOT / "README.md").read_text()
    for document in ROOT.glob("docs/*.md"):
        assert f"(docs/{document.name})" in text, f"README.md has no link to docs/{document.name}"


def test_the_readme_has_every_option_of_a_loader() -> None:
    rows = next(rows for titles, rows in tables((ROOT / "README.md").read_text()) if titles[0] == "argument")
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    own = [name for name in inspect.signature(dlcache.Dataset.numpy).parameters if name not in ("self", "unknown")]
    assert sorted(named) == sorted(own)


def test_the_layout_names_every_module_once() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = next(rows for titles, rows in tables(text) if titles[0] == "Python")
    named = [name for row in rows for name in re.findall(r"\b\w+\b", row[0])]
    modules = [path.stem for path in ROOT.glob("python/dlcache/*.py") if not path.stem.startswith("__")]
    assert sorted(named) == sorted(modules)
