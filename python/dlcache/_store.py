"""Where the files of a dataset are, and how they are listed and opened. The only module that knows of file systems."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ._errors import NotADatasetError, OptionError, ShardError, StorageError

MANIFESTS = "_dlcache"
_MANIFEST_NAME = re.compile(r"[0-9]{20}\.json", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_HADOOP_SCHEMES = {"s3a": "s3", "s3n": "s3", "abfss": "abfs", "wasbs": "abfs", "dbfs": "file"}


def manifest_name(version: int) -> str:
    """The name of the manifest of `version` in the folder `_dlcache`."""
    return f"{version:020d}.json"


def local_path(path: str | os.PathLike[str]) -> str | None:
    """The absolute local path that `path` means (a path, `file:/x` or `file:///x`), or None if it is elsewhere.

    A `dbfs:/x` path is the local `/dbfs/x`, as Databricks mounts it.
    """
    text = os.fspath(path)
    if not isinstance(text, str) or not text:
        raise OptionError(f"path must be a path or URI, not {path!r}")
    if not _SCHEME.match(text) or (os.name == "nt" and text[1:2] == ":"):
        return os.path.abspath(os.path.expanduser(text))
    uri = urlsplit(text)
    if uri.scheme == "dbfs":
        return "/dbfs" + os.path.normpath("/" + uri.path)
    if uri.scheme != "file":
        return None
    if uri.netloc not in ("", "localhost"):
        raise OptionError(f"{text!r} names the host {uri.netloc!r}; a local file is file:/path or file:///path")
    return os.path.abspath(unquote(text.removeprefix("file:").removeprefix("//" + uri.netloc)))


@dataclass(frozen=True)
class Store:
    """The files of one dataset.

    path: as the user gave it, for messages. local: its absolute path if it is on a local file system.
    storage_options: for `fsspec` and `pyarrow.fs` where it is elsewhere. Picklable.
    """

    path: str
    local: str | None
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Store:
        return Store(os.fspath(path).rstrip("/") or "/", local_path(path), dict(storage_options or {}))

    def versions(self) -> list[int]:
        """The versions that are there, ascending. Raises NotADatasetError if there are none."""
        try:
            names = os.listdir(os.path.join(self.local, MANIFESTS)) if self.local is not None else self._list()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._not_a_dataset() from error
        except OSError as error:
            raise StorageError(f"cannot list {self.path}/{MANIFESTS}: {error}") from error
        found = sorted(int(name[:20]) for name in names if _MANIFEST_NAME.fullmatch(name))
        if not found:
            raise self._not_a_dataset()
        return found

    def manifest(self, version: int) -> bytes:
        """The text of the manifest of `version`."""
        try:
            return self.read(f"{MANIFESTS}/{manifest_name(version)}")
        except FileNotFoundError as error:
            raise NotADatasetError(
                f"{self.path} has no version {version}; versions there are: {', '.join(map(str, self.versions()))}"
            ) from error
        except OSError as error:
            raise StorageError(f"cannot read the manifest of version {version} of {self.path}: {error}") from error

    def read(self, relative: str) -> bytes:
        """All bytes of a file of the dataset. Raises OSError as the file system does."""
        if self.local is not None:
            with open(os.path.join(self.local, relative), "rb") as file:
                return file.read()
        filesystem, root = self._filesystem()
        with filesystem.open_input_file(f"{root}/{relative}") as file:
            return bytes(file.read())

    def fetch(self, relative: str, size: int) -> memoryview:
        """The bytes of a remote shard, `size` of them, in memory."""
        try:
            data = self.read(relative)
        except FileNotFoundError as error:
            raise missing_shard(f"{self.path}/{relative}") from error
        except OSError as error:
            raise StorageError(f"cannot read {self.path}/{relative}: {error}") from error
        if len(data) != size:
            raise wrong_size(f"{self.path}/{relative}", len(data), size)
        return memoryview(data)

    def shard(self, relative: str) -> str:
        """Where a shard is, for messages, and for opening it where it is local."""
        return os.path.join(self.local, relative) if self.local is not None else f"{self.path}/{relative}"

    def _list(self) -> list[str]:
        from pyarrow import fs

        filesystem, root = self._filesystem()
        infos = filesystem.get_file_info(fs.FileSelector(f"{root}/{MANIFESTS}", allow_not_found=False))
        return [info.base_name for info in infos]

    def _filesystem(self) -> tuple[Any, str]:
        from pyarrow import fs

        uri = urlsplit(self.path)
        scheme = _HADOOP_SCHEMES.get(uri.scheme, uri.scheme)
        path = self.path.replace(uri.scheme, scheme, 1)
        if self.storage_options or scheme == "abfs":
            return _fsspec(path, self.storage_options)
        try:
            found: tuple[Any, str] = fs.FileSystem.from_uri(path)
        except (ValueError, OSError, NotImplementedError):
            return _fsspec(path, self.storage_options)
        return found

    def _not_a_dataset(self) -> NotADatasetError:
        return NotADatasetError(
            f"{self.path} is not a dlcache dataset: it has no manifest in {MANIFESTS}/. "
            'Write one with df.write.format("dlcache").save(path), and give load() the same path'
        )


def _fsspec(path: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(path, **options)
    except ImportError as error:
        raise StorageError(
            f"no driver for {path}: {error}. Install fsspec and its package for this store, "
            "such as s3fs, gcsfs or adlfs"
        ) from error
    except ValueError as error:
        raise StorageError(f"cannot open {path}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), root


def missing_shard(path: str) -> ShardError:
    return ShardError(
        f"{path} is missing, and the manifest names it; it was deleted after the dataset was loaded, or the copy of "
        "the dataset is not complete. Load the dataset again, or write it again"
    )


def wrong_size(path: str, size: int, expected: int) -> ShardError:
    return ShardError(
        f"{path} has {size} bytes, and its manifest says {expected}; it was cut short or replaced. "
        "Write the dataset again"
    )
