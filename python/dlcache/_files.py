"""The files of a dataset for those who delete: what is there, and one small act at a time. No decisions here."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._drivers import Info
from ._errors import NotADatasetError, StorageError
from ._layout import FOLDERS, MANIFESTS
from ._store import Store

PUT_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a directory. path: relative to the dataset. modified: seconds since 1970, infinite if unknown.
    A link is `other`: it is never followed."""

    path: str
    kind: Literal["file", "directory", "other"]
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Files:
    """The directory of one dataset, or a root with datasets in it."""

    store: Store

    @staticmethod
    def of(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Files:
        return Files(Store.of(path, storage_options))

    @property
    def path(self) -> str:
        return self.store.path

    @property
    def replaces_whole(self) -> bool:
        """True if `put` replaces a file so that readers see the old one or the new one: HDFS and PyArrow's Azure empty
        it first."""
        return self.store.remote is None or not self.store.remote.uri.scheme.endswith(("hdfs", "abfs"))

    def child(self, name: str) -> Files:
        """The directory `name` in this one."""
        return Files(self.store.child(name))

    def entries(self) -> list[Entry]:
        """What lies in the directory and in those folders of it that a dataset has, sorted; other folders are not
        looked into. Empty if the directory is not there."""
        found = self.listing("")
        for folder in FOLDERS:
            found += self.listing(folder)
        return sorted(found, key=lambda entry: entry.path)

    def listing(self, folder: str) -> list[Entry]:
        """What lies in one folder, unsorted; empty if it is not there, or is a link."""
        with self._errors("list", folder):
            try:
                if self.store.remote is not None:
                    return [_remote_entry(folder, info) for info in self.store.remote.list(folder)]
                return self._local_listing(folder)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def read(self, path: str) -> bytes | None:
        """All bytes of a file, or None if it is not there."""
        with self._errors("read", path):
            try:
                return self.store.read(path)
            except FileNotFoundError:
                return None

    def has(self, path: str) -> bool:
        """True if there is a file at `path`."""
        with self._errors("look at", path):
            if self.store.remote is None:
                return os.path.isfile(self._at(path))
            try:
                return self.store.remote.info(path).kind == "file"
            except FileNotFoundError:
                return False

    def put(self, path: str, data: bytes, temporary: str) -> None:
        """Make the file, or replace it, whole at once. `temporary` is a name in the same folder.

        A folder below `_dlcache` is made, `_dlcache` itself is not. Raises NotADatasetError where that is gone, and
        OSError as the file system does.
        """
        if self.store.remote is not None:
            self.store.remote.put(path, data)
            return
        target, beside = self._at(path), self._at(temporary)
        for attempt in range(PUT_ATTEMPTS):
            try:
                self._replace(target, beside, data)
                return
            except FileNotFoundError as error:
                # Another process may have removed the folder as soon as it was made, because it was empty.
                if attempt + 1 == PUT_ATTEMPTS or not os.path.isdir(self._at(MANIFESTS)):
                    raise NotADatasetError(f"{self.path} is not there any more: {error}") from error

    def remove(self, path: str) -> None:
        """Delete a file; it is fine if it is gone."""
        with self._errors("delete", path), contextlib.suppress(FileNotFoundError):
            if self.store.remote is not None:
                self.store.remote.remove(path)
            else:
                os.unlink(self._at(path))

    def remove_directory(self, path: str) -> None:
        """Delete a local directory if it is there and empty. Object stores have no directories, and the drivers of
        other stores delete one with all that is in it: also what another process puts there meanwhile."""
        if self.store.remote is not None:
            return
        try:
            os.rmdir(self._at(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
                raise StorageError(f"cannot delete {self._at(path)}: {error}") from error

    @staticmethod
    def _replace(target: str, beside: str, data: bytes) -> None:
        folder = os.path.dirname(target)
        if os.path.basename(folder) != MANIFESTS:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
        try:
            with open(beside, "xb") as file:
                file.write(data)
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise

    def _at(self, path: str) -> str:
        assert self.store.local is not None
        return os.path.join(self.store.local, path) if path else self.store.local

    def _local_listing(self, folder: str) -> list[Entry]:
        if folder and os.path.islink(self._at(folder)):
            return []
        with os.scandir(self._at(folder)) as scan:
            return [entry for item in scan if (entry := _local_entry(folder, item)) is not None]

    @contextlib.contextmanager
    def _errors(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"cannot {verb} {self.path}{'/' if path else ''}{path}: {error}") from error


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _local_entry(folder: str, item: os.DirEntry[str]) -> Entry | None:
    try:
        status = item.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    mode = status.st_mode
    kind: Literal["file", "directory", "other"] = (
        "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "other"
    )
    return Entry(_join(folder, item.name), kind, status.st_size, status.st_mtime)


def _remote_entry(folder: str, info: Info) -> Entry:
    return Entry(_join(folder, info.name), info.kind, info.size, info.modified)
