"""Values on the command line: durations and sizes as people write them, and text that is safe to print. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from ._errors import OptionError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta:
    """`90`, `90s`, `15m`, `12h`, `7d` or `2w`. Raises OptionError."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)", text.strip(), re.ASCII)
    if found is None:
        raise OptionError(f"{text!r} is no duration; give seconds, or a number with s, m, h, d or w, as 12h")
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError as error:
        raise OptionError(f"{text!r} is longer than any duration") from error


def size(count: int) -> str:
    """A number of bytes with a unit: `1.5 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.95 or unit == "TB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def plain(text: object) -> str:
    """Text in one line, without anything that a terminal would obey: control characters are shown as escapes."""
    signs = (sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in str(text))
    return "".join(signs)
