"""The names of columns: docs/format.md, 2.1. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

Path = tuple[str, ...]

_NEEDS_QUOTES = re.compile("[.`]")


def column_names(paths: Sequence[Path]) -> list[str]:
    """A name for each column, given by its path: the path joined with dots where no other column could have that name,
    else the path as Spark SQL writes it, with parts in backticks that have a dot or a backtick in them.

    The names differ if the paths do: `a.b` is the field `b` of the struct `a`, and a column `a.b` beside it is
    "`a.b`".
    """
    joined = [".".join(path) for path in paths]
    quoted = [".".join(map(_quoted, path)) for path in paths]
    uses = Counter(joined)
    uses.update(sql for name, sql in zip(joined, quoted, strict=True) if sql != name)
    return [name if uses[name] == 1 else sql for name, sql in zip(joined, quoted, strict=True)]


def _quoted(part: str) -> str:
    if not _NEEDS_QUOTES.search(part):
        return part
    return "`" + part.replace("`", "``") + "`"
