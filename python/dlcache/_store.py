"""Where the files of a dataset are, and how they are listed and opened: locally here, elsewhere by `_remote`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ._connect import parse_uri, place_of
from ._errors import NotADatasetError, OptionError, ShardError, StorageError
from ._mirror import MirrorOptions
from ._remote import Remote

MANIFESTS = "_dlcache"
_MANIFEST_NAME = re.compile(r"[0-9]{20}\.json", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def manifest_name(version: int) -> str:
    """The name of the manifest of `version` in the folder `_dlcache`."""
    return f"{version:020d}.json"


def local_path(path: str | os.PathLike[str]) -> str | None:
    """The absolute local path that `path` means (a path, `file:/x` or `file:///x`), or None if it is elsewhere.

    As in Hadoop, a URI is not unquoted: `file:/a%20b` is the directory `a%20b`.
    A `dbfs:/x` path is the local `/dbfs/x`, as Databricks mounts it, and `dbfs:/Volumes/x` is `/Volumes/x`.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text:
        raise OptionError(f"path must be a path or URI, not {path!r}")
    if not _SCHEME.match(text) or (os.name == "nt" and text[1:2] == ":"):
        return os.path.abspath(os.path.expanduser(text))
    uri = urlsplit(text)
    rest = text.partition(":")[2].removeprefix("//" + uri.netloc)
    if uri.scheme == "dbfs":
        path = os.path.normpath("/" + rest.lstrip("/"))
        return path if path.startswith("/Volumes/") else "/dbfs" + path
    if uri.scheme != "file":
        return None
    if uri.netloc not in ("", "localhost"):
        raise OptionError(f"{text!r} names the host {uri.netloc!r}; a local file is file:/path or file:///path")
    return os.path.abspath(rest)


@dataclass(frozen=True)
class Store:
    """The files of one dataset.

    Attributes:
        path: As the user gave it, for messages.
        local: The real path, absolute and without links, if it is on a local file system.
        remote: Where it is if it is not local.
        mirror: Where copies on this machine may be, and how large.
        identity: What two stores have in common if and only if they are one place. Everything that is kept for a
            dataset is kept by it. It may hold secrets: never print it.
    """

    path: str
    local: str | None
    remote: Remote | None = None
    mirror: MirrorOptions = field(default_factory=MirrorOptions)
    identity: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        remote = self.remote
        found = (str(self.local),) if remote is None else (*place_of(remote.uri, remote.options), remote.uri.path)
        object.__setattr__(self, "identity", found)

    @staticmethod
    def of(
        path: str | os.PathLike[str],
        storage_options: Mapping[str, Any] | None = None,
        mirror: MirrorOptions | None = None,
    ) -> Store:
        local, text = local_path(path), os.fspath(path).rstrip("/") or "/"
        mirror = mirror or MirrorOptions()
        if storage_options is not None and not isinstance(storage_options, Mapping):
            raise OptionError(f"storage_options must be a dict, not {type(storage_options).__name__}")
        if local is not None:
            return Store(text, os.path.realpath(local), None, mirror)
        uri = parse_uri(text)
        assert uri is not None
        return Store(text, None, Remote(text, uri, dict(storage_options or {})), mirror)

    @property
    def name(self) -> str:
        """The last part of where it really is, whatever link or relative path led there."""
        return (self.local or self.path).rstrip("/").rpartition("/")[2]

    @property
    def storage_options(self) -> Mapping[str, Any]:
        """What the store was opened with. It may hold secrets: never print it."""
        return {} if self.remote is None else self.remote.options

    def child(self, name: str) -> Store:
        """The folder `name` in this one."""
        if self.remote is not None:
            return Store(f"{self.path.rstrip('/')}/{name}", None, self.remote.child(name), self.mirror)
        assert self.local is not None
        return Store(f"{self.path.rstrip('/')}/{name}", os.path.join(self.local, name), None, self.mirror)

    def versions(self) -> list[int]:
        """The versions that are there, ascending. Raises NotADatasetError if there are none."""
        try:
            names = self._names()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._not_a_dataset() from error
        except StorageError:
            raise
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
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot read the manifest of version {version} of {self.path}: {error}") from error

    def read(self, relative: str) -> bytes:
        """All bytes of a small file of the dataset. Raises OSError as the file system does."""
        if self.remote is not None:
            return self.remote.read(relative)
        with open(self.shard(relative), "rb") as file:
            return file.read()

    def shard(self, relative: str) -> str:
        """Where a shard is, for messages, and for opening it where it is local."""
        return os.path.join(self.local, relative) if self.local is not None else f"{self.path}/{relative}"

    def _names(self) -> list[str]:
        if self.remote is not None:
            return [info.name for info in self.remote.list(MANIFESTS)]
        return os.listdir(self.shard(MANIFESTS))

    def _not_a_dataset(self) -> NotADatasetError:
        return NotADatasetError(
            f"{self.path} is not a dlcache dataset: it has no manifest in {MANIFESTS}/. "
            'Write one with df.write.format("dlcache").save(path), and give load() the same path'
        )


def missing_shard(path: str) -> ShardError:
    return ShardError(
        f"{path} is missing, and the manifest names it: the dataset lost a shard. Either the dataset was deleted after "
        "it was loaded, or something other than dlcache deleted the file, such as a lifecycle rule of the bucket, or a "
        'copy is not complete. Write it again: dlcache.cache(df) does where it chose the path, else mode="overwrite"'
    )


def wrong_size(path: str, size: int, expected: int) -> ShardError:
    return ShardError(
        f"{path} has {size} bytes, and its manifest says {expected}; it was cut short or replaced. "
        "Write the dataset again"
    )
