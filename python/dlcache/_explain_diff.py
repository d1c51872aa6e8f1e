"""What makes two plan keys differ, in words: from one explanation to another. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from ._explain_words import columns, count, describe, format_of, functions, mapping, reasons, sequence, texts

LISTED = 20
"""So many files of one input are named; the others are counted."""


def differences(before: Any, after: Any) -> list[str]:
    """What changed from one key's explanation to another's, the most telling first."""
    old, new = mapping(before), mapping(after)
    if not old or not new:
        return ["one of the manifests has no explanation"]
    found = [
        *_key(old, new),
        *_reasons(old, new),
        *_inputs(old, new),
        *_functions(old, new),
        *_columns(columns(old), columns(new)),
        *_plan(texts(old.get("plan")), texts(new.get("plan"))),
        *_values("option", old.get("options"), new.get("options")),
        *_values("conf", old.get("confs"), new.get("confs")),
        *_values("hadoop", old.get("hadoop"), new.get("hadoop")),
        *_values("layout", old.get("layout"), new.get("layout")),
        *_versions(old, new),
    ]
    return found or ["something that the explanations do not show: a hidden value, or the Spark application"]


def _key(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = old.get("user-key"), new.get("user-key")
    if before != after:
        yield f"key: {_text(before)} -> {_text(after)}"


def _reasons(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = reasons(old), reasons(new)
    yield from (f"session key: {message}" for message in after if message not in before)
    yield from (f"no session key any more for: {message}" for message in before if message not in after)


def _functions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    (old_codes, old_parts), (new_codes, new_parts) = functions(old), functions(new)
    yield from _values("Python function:", old_parts, new_parts)
    if old_codes != new_codes and old_codes and new_codes:
        yield "Python function: another code or other captured values"


def _versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if "user-key" not in old and "user-key" not in new and old.get("spark-version") != new.get("spark-version"):
        yield f"Spark: {old.get('spark-version')} -> {new.get('spark-version')}"
    for name in ("encoder-version", "format-version"):
        if old.get(name) != new.get(name):
            yield f"dlcache's {name}: {old.get(name)} -> {new.get(name)}"


def _values(what: str, before: Any, after: Any) -> Iterator[str]:
    old, new = mapping(before), mapping(after)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{what} {name}: {_text(old.get(name))} -> {_text(new.get(name))}"


def _text(value: Any) -> str:
    return "(not set)" if value is None else str(value)


# Inputs


def _inputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before = [mapping(item) for item in sequence(old.get("inputs"))]
    after = [mapping(item) for item in sequence(new.get("inputs"))]
    same = {str(item.get("digest")) for item in before} & {str(item.get("digest")) for item in after}
    gone = [item for item in before if str(item.get("digest")) not in same]
    for item in after:
        if str(item.get("digest")) in same:
            continue
        partner = _partner(item, gone)
        if partner is None:
            yield f"input {describe(item)} was added"
        else:
            gone.remove(partner)
            yield from _changed(partner, item)
    yield from (f"input {describe(item)} was removed" for item in gone)


def _partner(item: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The input of the other plan that this one most likely was."""
    alike = [other for other in others if other.get("kind") == item.get("kind")]
    names = ("roots", "name", "description")
    named = [other for other in alike if all(other.get(name) == item.get(name) for name in names)]
    return next(iter(named or alike), None)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    kind = after.get("kind")
    if kind == "files":
        yield from _changed_files(before, after)
    elif kind == "table":
        name = after.get("name")
        lines = []
        if before.get("name") != name:
            lines.append(f"input table {before.get('name')} -> {name}")
        elif before.get("id") != after.get("id"):
            lines.append(f"input table {name} was made anew")
        if before.get("version") != after.get("version"):
            lines.append(f"input table {name}: version {_text(before.get('version'))} -> {_text(after.get('version'))}")
        lines += _values(f"input table {name}: option", before.get("options"), after.get("options"))
        yield from lines or [f"input table {name} changed"]
    elif kind == "local":
        rows = f"{count(before.get('rows'))} -> {count(after.get('rows'))} rows"
        yield f"input local rows: {rows if before.get('rows') != after.get('rows') else 'other values'}"
    else:
        yield f"input {describe(after)} is another one than {describe(before)}"


def _changed_files(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    name = ", ".join(texts(after.get("roots"))) or after.get("base")
    old, new = _files(before), _files(after)
    found = [f"input {path} was added" for path in new if path not in old]
    found += [f"input {path} was removed" for path in old if path not in new]
    found += [_replaced(path, old[path], new[path]) for path in new if path in old and old[path] != new[path]]
    yield from found[:LISTED]
    if len(found) > LISTED:
        yield f"... and {len(found) - LISTED:,} more files of {name}"
    others = [*_values(f"input {name}: option", before.get("options"), after.get("options"))]
    if before.get("format") != after.get("format"):
        others.append(f"input {name}: format {format_of(before)} -> {format_of(after)}")
    yield from others
    if not found and not others:
        yield f"input {name}: {count(before.get('files'))} -> {count(after.get('files'))} files, not all of them listed"


def _files(source: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The listed files by path, each with its length, its time of modification and perhaps its ETag."""
    base = str(source.get("base", ""))
    listed = [(base, sequence(entry)) for entry in sequence(source.get("list"))]
    listed += [("", sequence(entry)) for entry in sequence(source.get("named"))]
    return {f"{at}{entry[0]}": tuple(entry[1:]) for at, entry in listed if len(entry) in (3, 4)}


def _replaced(path: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    if before[0] != after[0]:
        return f"input {path} was replaced: {count(before[0])} -> {count(after[0])} bytes"
    return f"input {path} was written again, with the same length"


# Output columns


def _columns(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> Iterator[str]:
    old, new = dict(before), dict(after)
    gone = [name for name, _ in before if name not in new]
    come = [name for name, _ in after if name not in old]
    renamed = dict(_renamed(before, after, gone, come))
    yield from (f"column {name} was renamed {renamed[name]}" for name in gone if name in renamed)
    yield from (f"column {name} was removed" for name in gone if name not in renamed)
    yield from (f"column {name} was added" for name in come if name not in renamed.values())
    for name, kind in after:
        if name in old and old[name] != kind:
            yield f"column {name}: {old[name]} -> {kind}"
    stayed, now = [name for name, _ in before if name in new], [name for name, _ in after if name in old]
    if stayed != now:
        yield f"columns have another order: {', '.join(stayed)} -> {', '.join(now)}"


def _renamed(
    before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]], gone: list[str], come: list[str]
) -> Iterator[tuple[str, str]]:
    """A column that went and one that came are one renamed column if they have one place and one type."""
    if len(before) == len(after):
        for (name, kind), (now, kind_now) in zip(before, after, strict=True):
            if name in gone and now in come and kind == kind_now:
                yield name, now


# The plan


def _plan(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    old, new = [line.strip() for line in before], [line.strip() for line in after]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        gone, come = old[i1:i2], new[j1:j2]
        for line in list(gone):
            partner = next((other for other in come if _operator(other) == _operator(line)), None)
            if partner is not None:
                gone.remove(line)
                come.remove(partner)
                yield f"{_operator(line).lower()} changed: {line} -> {partner}"
        yield from (f"plan: {line} was removed" for line in gone)
        yield from (f"plan: {line} was added" for line in come)


def _operator(line: str) -> str:
    """The name of a plan's node, as `Filter` of `Filter (a > 1)`."""
    return line.split(" ", 1)[0].split("(", 1)[0]
