"""Explanations of plan keys in words, and tolerant access to their JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else ()


def entries(value: Any) -> bool:
    """True if there is anything in a JSON object."""
    return bool(mapping(value))


def texts(value: Any) -> list[str]:
    """The strings of a JSON array."""
    return [item for item in sequence(value) if isinstance(item, str)]


def made_of(explanation: Any) -> list[str]:
    """What a key was made of, one line for each thing."""
    there = mapping(explanation)
    if not there:
        return ["the manifest has no explanation"]
    lines = [f"session key: {message}" for message in reasons(there)]
    if "user-key" in there:
        lines.append(f"key {there['user-key']!r}")
    lines += [f"input {describe(mapping(item))}" for item in sequence(there.get("inputs"))]
    codes, parts = functions(there)
    lines += [f"Python function {code}" for code in codes]
    lines += [f"Python functions rest on {name} {text}" for name, text in sorted(parts.items())]
    lines += [f"column {name}: {text}" for name, text in columns(there)]
    lines += [f"plan {line}" for line in texts(there.get("plan"))]
    lines += [f"option {name} = {value}" for name, value in sorted(mapping(there.get("options")).items())]
    lines += [f"conf {name} = {value}" for name, value in sorted(mapping(there.get("confs")).items())]
    lines += [f"hadoop {name} = {value}" for name, value in sorted(mapping(there.get("hadoop")).items())]
    lines += [f"layout {name} = {value}" for name, value in sorted(mapping(there.get("layout")).items())]
    if "spark-version" in there and "user-key" not in there:
        lines.append(f"Spark {there['spark-version']}")
    return lines or ["the explanation is empty"]


def reasons(explanation: Mapping[str, Any]) -> list[str]:
    """Why the key holds only within its Spark application, if so."""
    found = (mapping(reason).get("message") for reason in sequence(explanation.get("reasons")))
    return [message for message in found if isinstance(message, str)]


def describe(source: Mapping[str, Any]) -> str:
    """One input of a plan."""
    kind = source.get("kind")
    if kind == "files":
        roots = ", ".join(texts(source.get("roots"))) or str(source.get("base", ""))
        files, size = count(source.get("files")), count(source.get("bytes"))
        return f"{roots} ({format_of(source)}, {files} files, {size} bytes)"
    if kind == "table":
        version = source.get("version")
        return f"table {source.get('name')}" + (f" at version {version}" if version is not None else "")
    if kind == "local":
        return f"local rows ({count(source.get('rows'))} rows, {count(source.get('bytes'))} bytes)"
    if kind == "current":
        return f"{source.get('function')} = {source.get('value')}"
    return str(source.get("description", kind))


def functions(explanation: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The digests of the Python functions that count by their source, and what they rest on."""
    found = [mapping(item) for item in sequence(explanation.get("functions"))]
    parts = {}
    for each in found:
        parts["Python"] = str(each.get("python"))
        parts |= {f"package {name}": text for name, text in mapping(each.get("packages")).items()}
        parts |= {f"module {name}": str(text)[:12] for name, text in mapping(each.get("modules")).items()}
    return sorted(str(each.get("code"))[:12] for each in found), parts


def format_of(source: Mapping[str, Any]) -> str:
    """The format of input files: the name of its class, without what all of them have."""
    return str(source.get("format")).rpartition(".")[2].removesuffix("FileFormat")


def count(value: Any) -> str:
    """A number with separators."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def columns(explanation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The output columns with their types, in order."""
    found = []
    for field in map(mapping, sequence(mapping(explanation.get("schema")).get("fields"))):
        suffix = "" if field.get("nullable", True) else " not null"
        found.append((str(field.get("name")), type_text(field.get("type")) + suffix))
    return found


def type_text(kind: Any) -> str:
    """A type of Spark's JSON as SQL writes it."""
    if not isinstance(kind, dict):
        return str(kind)
    match kind.get("type"):
        case "array":
            return f"array<{type_text(kind.get('elementType'))}>"
        case "map":
            return f"map<{type_text(kind.get('keyType'))}, {type_text(kind.get('valueType'))}>"
        case "struct":
            fields = [mapping(field) for field in sequence(kind.get("fields"))]
            return "struct<" + ", ".join(f"{f.get('name')}: {type_text(f.get('type'))}" for f in fields) + ">"
        case "udt":
            return str(kind.get("class", "udt")).rpartition(".")[2]
        case other:
            return str(other)
