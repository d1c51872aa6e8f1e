"""One small face over `pyarrow.fs` and `fsspec`: the few acts that a dataset needs of a store. No retries here.

Both raise what they like; FileNotFoundError means that something is not there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

Kind = Literal["file", "directory", "other"]


@dataclass(frozen=True, slots=True)
class Info:
    """Something in a folder. modified: seconds since 1970, infinite if unknown."""

    name: str
    kind: Kind
    size: int
    modified: float


class OpenFile(Protocol):
    """A file to read from at any place; threads may share it."""

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, count: int) -> bytes: ...

    def close(self) -> None: ...


class Driver(Protocol):
    """Paths are as the driver's file system has them: without a scheme, never quoted."""

    def list(self, path: str) -> list[Info]: ...

    def info(self, path: str) -> Info: ...

    def open(self, path: str) -> OpenFile: ...

    def read(self, path: str) -> bytes: ...

    def put(self, path: str, data: bytes) -> None: ...

    def remove(self, path: str) -> None: ...


class ArrowDriver:
    """A `pyarrow.fs.FileSystem`."""

    def __init__(self, filesystem: Any) -> None:
        self._fs = filesystem

    def list(self, path: str) -> list[Info]:
        from pyarrow import fs

        infos = self._fs.get_file_info(fs.FileSelector(path, allow_not_found=False))
        return [_arrow_info(info) for info in infos if info.path.rstrip("/") != path.rstrip("/")]

    def info(self, path: str) -> Info:
        from pyarrow import fs

        info = self._fs.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(path)
        return _arrow_info(info)

    def open(self, path: str) -> OpenFile:
        return _ArrowFile(self._fs.open_input_file(path))

    def read(self, path: str) -> bytes:
        with self._fs.open_input_file(path) as file:
            return bytes(file.read())

    def put(self, path: str, data: bytes) -> None:
        with self._fs.open_output_stream(path) as stream:
            stream.write(data)

    def remove(self, path: str) -> None:
        self._fs.delete_file(path)


class GoogleDriver(ArrowDriver):
    """`pyarrow.fs.GcsFileSystem` finds a folder below another only where it has an object of its own, which nobody has
    to make: what lies in a folder is seen from all that lies below it."""

    def list(self, path: str) -> list[Info]:
        from pyarrow import fs

        below = self._fs.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
        found: dict[str, Info] = {}
        for info in below:
            name, deeper, _ = info.path.removeprefix(path).strip("/").partition("/")
            if name:
                found[name] = Info(name, "directory", 0, float("inf")) if deeper else _arrow_info(info)
        if not below:
            self.info(path)
        return list(found.values())


class _ArrowFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    @property
    def size(self) -> int:
        return int(self._file.size())

    def read_at(self, offset: int, count: int) -> bytes:
        return bytes(self._file.read_at(count, offset))

    def close(self) -> None:
        self._file.close()


def _arrow_info(info: Any) -> Info:
    from pyarrow import fs

    kinds: dict[Any, Kind] = {fs.FileType.File: "file", fs.FileType.Directory: "directory"}
    modified = float("inf") if info.mtime_ns is None else info.mtime_ns / 1e9
    return Info(info.base_name, kinds.get(info.type, "other"), info.size or 0, modified)


class FsspecDriver:
    """An `fsspec` file system. Its listings are asked for anew each time."""

    def __init__(self, filesystem: Any) -> None:
        self._fs = filesystem

    def list(self, path: str) -> list[Info]:
        self._fs.invalidate_cache()
        found = self._fs.ls(path, detail=True)
        infos = [self._info(entry) for entry in found if _bare(entry["name"]) != _bare(path)]
        if not infos and not any(entry["type"] == "directory" for entry in found) and not self._fs.isdir(path):
            raise FileNotFoundError(path)
        return infos

    def info(self, path: str) -> Info:
        self._fs.invalidate_cache()
        return self._info(self._fs.info(path))

    def open(self, path: str) -> OpenFile:
        info = self.info(path)
        if info.kind != "file":
            raise FileNotFoundError(path)
        return _FsspecFile(self._fs, path, info.size)

    def read(self, path: str) -> bytes:
        return bytes(self._fs.cat_file(path))

    def put(self, path: str, data: bytes) -> None:
        parent = path.rpartition("/")[0]
        with contextlib.suppress(FileExistsError, NotImplementedError):
            self._fs.makedirs(parent, exist_ok=True)
        with self._fs.open(path, "wb") as stream:
            stream.write(data)

    def remove(self, path: str) -> None:
        self.info(path)
        self._fs.rm_file(path)

    def _info(self, entry: dict[str, Any]) -> Info:
        kind: Kind = entry["type"] if entry["type"] in ("file", "directory") else "other"
        modified = _modified(entry)
        if modified is None and kind == "file":
            with contextlib.suppress(NotImplementedError, FileNotFoundError):
                modified = _seconds(self._fs.modified(entry["name"]))
        size = int(entry.get("size") or 0)
        return Info(_bare(entry["name"]).rpartition("/")[2], kind, size, float("inf") if modified is None else modified)


class _FsspecFile:
    def __init__(self, filesystem: Any, path: str, size: int) -> None:
        self._fs, self._path, self._size = filesystem, path, size

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, count: int) -> bytes:
        return bytes(self._fs.cat_file(self._path, start=offset, end=offset + count))

    def close(self) -> None:
        pass


def _bare(name: str) -> str:
    return name.strip("/")


def _modified(entry: dict[str, Any]) -> float | None:
    """The names that file systems have for it; WebHDFS counts milliseconds."""
    if "modificationTime" in entry:
        return float(entry["modificationTime"]) / 1e3
    for name in ("mtime", "LastModified", "last_modified", "updated"):
        if entry.get(name) is not None:
            return _seconds(entry[name])
    return None


def _seconds(when: Any) -> float | None:
    if isinstance(when, datetime):
        return when.timestamp()
    if isinstance(when, (int, float)):
        return float(when)
    try:
        return datetime.fromisoformat(str(when).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
