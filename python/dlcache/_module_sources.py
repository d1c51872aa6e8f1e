"""The source that Python functions rest on: modules outside site-packages by their text, packages by their version."""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import itertools
import os
import platform
import re
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._pickled import UntraceableError, code_of, is_code

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_IMPORTERS = frozenset({"import_module", "__import__"})
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class ModuleSources:
    """What modules are made of, followed from module to module.

    A module outside site-packages and the standard library counts by its whole text and leads to all that it imports,
    wherever in it. An installed package counts by its version and those of the packages that it requires.
    """

    def __init__(self) -> None:
        self.modules: dict[str, str] = {}
        self.packages: dict[str, str] = {}
        self.files: set[str] = set()
        self._reached: set[str] = set()

    def digest(self) -> str:
        """Of all that was reached, and of the version of Python."""
        facts = [sorted(self.modules.items()), sorted(self.packages.items())]
        return hashlib.sha256(repr([python_version(), *facts]).encode()).hexdigest()

    def reach(self, name: str) -> None:
        """Follows the module `name`, the packages that it is in, and all that they import.

        Raises:
            UntraceableError: a module has no file.
        """
        open_names = [name]
        while open_names:
            for part in _with_parents(open_names.pop()):
                if part not in self._reached:
                    self._reached.add(part)
                    open_names.extend(self._look_at(part))

    def reach_code(self, code: types.CodeType, module: Mapping[str, Any]) -> None:
        """Follows what a function imports in its body. `module` holds `__name__` and `__package__` of its module."""
        package = module.get("__package__")
        if package is None:
            package = str(module.get("__name__", "")).rpartition(".")[0]
        for name in _code_imports(code).modules("a function", package):
            self.reach(name)

    def _look_at(self, name: str) -> Iterable[str]:
        top = name.partition(".")[0]
        if name == "__main__":
            raise UntraceableError("a name of `__main__`, which workers do not have")
        if top in ("pyspark", "py4j"):
            self.packages["pyspark"] = _pyspark_version()
            return ()
        spec = _spec(name)
        if spec is None:
            self.modules[name] = "absent"  # it may be there the next time
            return ()
        origin = spec.origin if spec.has_location else None
        if origin is None:
            if spec.origin in ("built-in", "frozen") or spec.submodule_search_locations is not None:
                return ()
            raise UntraceableError(f"the module {name}, which has no file")
        if _is_below(origin, _installed()):
            found = _distributions(top)
            if found:
                self._add_packages(found)
                return ()
        elif _is_below(origin, _standard()):
            return ()
        return self._add_local(name, spec, origin)

    def _add_local(self, name: str, spec: Any, origin: str) -> Iterable[str]:
        file = _file_of(origin)
        if file is None:
            raise UntraceableError(f"the module {name}, whose file {origin} cannot be found")
        content = file.read_bytes()
        self.files.add(str(file))
        if str(file) != origin:
            content = _archived(name, spec)
        self.modules[name] = hashlib.sha256(content).hexdigest()
        if not origin.endswith(".py"):
            return ()
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        return list(_text_imports(content).modules(f"the module {name}", package))

    def _add_packages(self, names: Iterable[str]) -> None:
        open_names = list(names)
        while open_names:
            name = _normal(open_names.pop())
            if name not in self.packages:
                found = _package(name, _stamp())
                if found is not None:
                    self.packages[name], required = found
                    open_names.extend(required)


def python_version() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def installed_since(seconds: float) -> bool:
    """Whether a package was installed, upgraded or removed since a time."""
    return any(modified > seconds for _, modified in _stamp())


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _spec(name: str) -> Any:
    """As `importlib.util.find_spec`, but nothing is imported."""
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = _spec(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    for finder in sys.meta_path:
        found = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if found is not None:
            return found
    return None


def _is_module(name: str) -> bool:
    try:
        return name in sys.modules or _spec(name) is not None
    except (ImportError, ValueError):
        return False


def _file_of(origin: str) -> Path | None:
    """The file of a module, or the archive that it is in."""
    path = Path(origin)
    return next((part for part in (path, *path.parents) if part.is_file()), None)


def _archived(name: str, spec: Any) -> bytes:
    try:
        return bytes(spec.loader.get_data(spec.origin))
    except (AttributeError, OSError) as error:
        raise UntraceableError(f"the module {name}, whose source cannot be read ({error})") from error


@dataclass(frozen=True)
class _Imports:
    """What a text says of modules.

    Attributes:
        plain: of `import a.b`.
        of_names: `(module, level, names)` of `from ..module import names`.
        texts: every string, if the text calls `import_module` or `__import__`.
        computed: whether it calls them with something else than a string.
    """

    plain: tuple[str, ...] = ()
    of_names: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    texts: tuple[str, ...] = ()
    computed: bool = False

    def modules(self, owner: str, package: str) -> Iterator[str]:
        if self.computed:
            raise UntraceableError(f"{owner}, which imports modules by computed names")
        yield from self.plain
        for module, level, names in self.of_names:
            base = _absolute(owner, module, level, package)
            yield base
            yield from (f"{base}.{name}" for name in names if name != "*" and _is_module(f"{base}.{name}"))
        yield from (text for text in self.texts if _DOTTED.fullmatch(text) and _is_module(text))


def _absolute(owner: str, module: str, level: int, package: str) -> str:
    try:
        return importlib.util.resolve_name("." * level + module, package) if level else module
    except ImportError:
        raise UntraceableError(
            f"{owner}, whose relative import of {'.' * level + module} is outside a package"
        ) from None


@functools.lru_cache(maxsize=4096)
def _text_imports(source: bytes) -> _Imports:
    """The imports of a text, wherever in it. What Python cannot parse has none: it fails in a worker too."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return _Imports()
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    of_names = [
        (node.module or "", node.level, tuple(alias.name for alias in node.names))
        for node in nodes
        if isinstance(node, ast.ImportFrom)
    ]
    calls = [node for node in nodes if isinstance(node, ast.Call) and _called(node) in _IMPORTERS]
    known = all(call.args and _text(call.args[0]) is not None for call in calls)
    texts = [text for text in map(_text, nodes) if text is not None] if calls else []
    return _Imports(tuple(plain), tuple(of_names), tuple(texts), not known)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _code_imports(code: types.CodeType) -> _Imports:
    """The imports of a function's body."""
    of_names: list[tuple[str, int, tuple[str, ...]]] = []
    texts: list[str] = []
    for each in _nested(code):
        steps = list(dis.get_instructions(each))
        for i, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                # The level of a relative import and the names are the two values before.
                levels = [before.argval for before in steps[max(i - 3, 0) : i] if type(before.argval) is int]
                names = itertools.takewhile(lambda after: after.opname != "IMPORT_NAME", steps[i + 1 :])
                imported = tuple(after.argval for after in names if after.opname == "IMPORT_FROM")
                of_names.append((step.argval, levels[-1] if levels else 0, imported))
        if _IMPORTERS.intersection(each.co_names):
            texts += [value for value in each.co_consts if isinstance(value, str)]
            if not any(_DOTTED.fullmatch(text) and _is_module(text) for text in texts):
                return _Imports(computed=True)
    return _Imports(of_names=tuple(of_names), texts=tuple(texts))


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for value in code.co_consts:
        if is_code(value):
            yield from _nested(code_of(value))


# Where Python keeps what it brings along, and what was installed.


@functools.cache
def _standard() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return _folders([paths["stdlib"], paths["platstdlib"]])


@functools.cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return _folders([paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()])


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    both = {*paths, *map(os.path.realpath, paths)}
    return tuple(sorted(os.path.join(path, "") for path in both))


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return path.startswith(folders) or os.path.realpath(path).startswith(folders)


def _stamp() -> tuple[tuple[str, float], ...]:
    """When something was last installed or removed."""
    return tuple((folder, os.stat(folder).st_mtime) for folder in _installed() if os.path.isdir(folder))


def _distributions(top: str) -> list[str]:
    return _all_distributions(_stamp()).get(top, [])


@functools.lru_cache(maxsize=1)
def _all_distributions(stamp: tuple[tuple[str, float], ...]) -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.lru_cache(maxsize=4096)
def _package(name: str, stamp: tuple[tuple[str, float], ...]) -> tuple[str, tuple[str, ...]] | None:
    """The version of a distribution, and the names of those that it requires. None if it is not installed."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    version = found.version
    if found.read_text("direct_url.json") is not None:
        # Installed from a folder or a repository: the version may stay where the code changes.
        version += f" ({_content(found)})"
    required = [entry for entry in found.requires or [] if "extra ==" not in entry]
    names = [match.group(1) for match in map(_REQUIREMENT.match, required) if match]
    return version, tuple(map(_normal, names))


def _content(found: importlib.metadata.Distribution) -> str:
    """A digest of the files that a distribution has installed, by the digests that its installer has recorded."""
    rows = [f"{file} {file.hash.value}" for file in found.files or [] if file.hash and ".dist-info" not in str(file)]
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pyspark_version() -> str:
    import pyspark

    return str(pyspark.__version__)
