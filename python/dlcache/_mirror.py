"""A folder of files that were fetched from elsewhere: bounded in bytes, and shared by all processes of a host.

A file is made under its name with `.part` behind it, by whoever holds the lock of that file, and renamed when it is
whole. So of all who want a file one fetches it and the others wait; the lock of a process that died is free, and the
next one begins anew. Before a file is made, room is made: those used longest ago go. A file that a process has mapped
stays readable for it after that; its space is free when the last mapping is gone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import DlcacheError, OptionError, StorageError
from ._ranges import Range
from ._root import user_caches

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: nothing is mirrored
    fcntl = None

DEFAULT_BYTES = 20 * 10**9
_PART = ".part"
_NAME = re.compile(r"[0-9a-f]{64}(\.part)?", re.ASCII)

logger = logging.getLogger("dlcache")


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """folder, bytes: None for the defaults."""

    folder: str | None = None
    bytes: int | None = None

    @staticmethod
    def of(folder: str | os.PathLike[str] | None, size: int | None) -> MirrorOptions:
        """Checked. Raises OptionError."""
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
            raise OptionError(f"cache_bytes must be an integer of at least 0, not {size!r}")
        if folder is not None and (not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder)):
            raise OptionError(f"cache_dir must be a path, not {folder!r}")
        return MirrorOptions(None if folder is None else os.path.abspath(os.fspath(folder)), size)


def mirror_folder(environment: Mapping[str, str], home: str) -> str:
    """The default folder: DLCACHE_MIRROR_DIR, else `dlcache-mirror` in XDG_CACHE_HOME or in `~/.cache`."""
    chosen = environment.get("DLCACHE_MIRROR_DIR", "")
    if chosen.strip():
        return chosen
    return f"{user_caches(environment, home)}/dlcache-mirror"


def mirror_bytes(environment: Mapping[str, str], free: int) -> int:
    """How large a mirror may be: DLCACHE_MIRROR_BYTES, else 20 GB, or half of what is free if that is less."""
    chosen = environment.get("DLCACHE_MIRROR_BYTES", "").strip()
    if not chosen:
        return min(DEFAULT_BYTES, free // 2)
    if not chosen.isdecimal():
        raise OptionError(f"DLCACHE_MIRROR_BYTES must be a number of bytes, not {chosen!r}")
    return int(chosen)


class Mirror:
    """Files by name, in a folder. Threads and processes may share it.

    A name is 64 hexadecimal digits: what else lies in the folder is not the mirror's, and stays.
    """

    def __init__(self, folder: str, most: int) -> None:
        self.folder, self.most = folder, most

    @staticmethod
    def of(options: MirrorOptions) -> Mirror | None:
        """The mirror that is asked for; None if it has no byte, or cannot be written."""
        folder = options.folder or mirror_folder(os.environ, os.path.expanduser("~"))
        if fcntl is None or options.bytes == 0:
            return None
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            mirror = Mirror(folder, 0)
            free = shutil.disk_usage(folder).free + mirror.used()
            most = options.bytes if options.bytes is not None else mirror_bytes(os.environ, free)
        except OSError as error:
            logger.warning("remote shards are not mirrored: %s cannot be written: %s", folder, error)
            return None
        return Mirror(folder, most) if most > 0 else None

    def find(self, name: str, size: int) -> int | None:
        """A descriptor, to read from, of the file `name`, if it is there."""
        return self._hit(os.path.join(self.folder, name), size)

    def open(
        self, name: str, size: int, ranges: Callable[[], Sequence[Range]], fill: Callable[[int], None]
    ) -> int | None:
        """A descriptor, to read from, of the file `name`, which has `size` bytes.

        If it is not there, `fill` writes it into the descriptor that it is given: the bytes in `ranges` and no others.
        None if there is no room for it. Raises what `fill` raises, and StorageError if the folder cannot be used.
        """
        final = os.path.join(self.folder, name)
        try:
            while True:
                found = self._hit(final, size)
                if found is not None:
                    return found
                with _locked(final + _PART) as part:
                    if part is None or self._hit_closed(final, size):
                        continue
                    try:
                        if not self._reserve(part, size, ranges()):
                            os.unlink(final + _PART)
                            return None
                        fill(part)
                        os.fsync(part)
                        os.rename(final + _PART, final)
                    except BaseException:
                        with contextlib.suppress(OSError):
                            os.unlink(final + _PART)
                        raise
        except DlcacheError:
            raise
        except OSError as error:
            raise StorageError(
                f"cannot mirror into {self.folder}: {error}. Choose another folder with cache_dir or "
                "DLCACHE_MIRROR_DIR, or cache_bytes=0 for none"
            ) from error

    def used(self) -> int:
        """Bytes of disk that its files have."""
        return sum(size for _, size, _ in self._files())

    def _hit(self, final: str, size: int) -> int | None:
        try:
            descriptor = os.open(final, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if os.fstat(descriptor).st_size != size:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(final)
            return None
        with contextlib.suppress(OSError):  # another user's file, in a folder that several share
            os.utime(final)
        return descriptor

    def _hit_closed(self, final: str, size: int) -> bool:
        """True if someone made the file while we waited for its lock."""
        found = self._hit(final, size)
        if found is None:
            return False
        os.close(found)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(final + _PART)
        return True

    def _reserve(self, part: int, size: int, ranges: Sequence[Range]) -> bool:
        """Take the disk space for a file, and delete others for it. One process at a time does this."""
        need = sum(count for _, count in ranges)
        if need > self.most:
            return False
        with _locked(os.path.join(self.folder, ".lock"), keep=True):
            os.ftruncate(part, 0)
            if not self._make_room(need):
                return False
            os.ftruncate(part, size)
            try:
                for offset, count in ranges:
                    _allocate(part, offset, count)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                logger.warning("the disk of %s is full: a remote shard is not mirrored", self.folder)
                return False
        return True

    def _make_room(self, need: int) -> bool:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for path, size, _ in files:
            if path.endswith(_PART) and _delete_if_abandoned(path):
                total -= size
        for path, size, _ in sorted(files, key=lambda file: file[2]):
            if total + need <= self.most:
                break
            if not path.endswith(_PART):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                total -= size
        return total + need <= self.most

    def _files(self) -> list[tuple[str, int, int]]:
        """Path, bytes on disk, and when it was used last, of each file."""
        files = []
        with os.scandir(self.folder) as scan:
            for item in scan:
                with contextlib.suppress(FileNotFoundError):
                    if _NAME.fullmatch(item.name) and item.is_file(follow_symlinks=False):
                        status = item.stat(follow_symlinks=False)
                        files.append((item.path, status.st_blocks * 512, status.st_mtime_ns))
        return files


@contextlib.contextmanager
def _locked(path: str, *, keep: bool = False) -> Iterator[int | None]:
    """The file at `path`, made if need be, locked for this thread alone: a descriptor. None if the file was renamed or
    deleted while we waited, unless it is one to `keep`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor if keep or _is_at(descriptor, path) else None
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _delete_if_abandoned(path: str) -> bool:
    """Delete a file in the making if nobody holds its lock. Who made it and has not yet locked it will see that it is
    gone, and make another."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            os.unlink(path)
            return True
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    return False


def _allocate(descriptor: int, offset: int, count: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None or not count:
        return
    try:
        allocate(descriptor, offset, count)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
