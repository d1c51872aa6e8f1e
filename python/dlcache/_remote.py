"""A folder in a store that is not a local file system: every request with retries, every failure as one of ours.

FileNotFoundError means that something is not there; all else is a StorageError, which names the path, what failed and
the way out, and never a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ._background import interruptible
from ._connect import Uri, connect
from ._drivers import Driver, Info, OpenFile
from ._errors import DlcacheError, StorageError
from ._failures import is_refusal, is_timeout, is_transient
from ._retry import ATTEMPTS, retry

T = TypeVar("T")

_SECRET_NAME = re.compile(r"secret|password|token|key|credential|sas|signature|delegation|auth", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    r"(?i)\b([\w.-]*(?:secret|password|token|signature|credential|delegation|accesskeyid|sig)[\w.-]*\s*[=:]\s*)[^\s&,;'\"<>)]+"
)
_WAYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, an instance's role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, gcloud's default login, a service account",
    "abfs": "Azure's default credential chain, an account key or SAS token",
    "hdfs": "HADOOP_USER_NAME, a Kerberos ticket, a delegation token",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """path: as the user gave it, for messages. uri: the same, taken apart. Picklable."""

    path: str
    uri: Uri
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def child(self, name: str) -> Remote:
        uri = Uri(self.uri.scheme, self.uri.authority, f"{self.uri.path.rstrip('/')}/{name}")
        return Remote(f"{self.path.rstrip('/')}/{name}", uri, self.options)

    def list(self, relative: str) -> list[Info]:
        """What lies in a folder. Raises FileNotFoundError if there is no such folder."""
        return self._do("list", relative, lambda driver, path: driver.list(path))

    def info(self, relative: str) -> Info:
        return self._do("look at", relative, lambda driver, path: driver.info(path))

    def read(self, relative: str) -> bytes:
        """All bytes of a small file."""
        return self._do("read", relative, lambda driver, path: driver.read(path))

    def put(self, relative: str, data: bytes) -> None:
        """Make a small file, or replace it."""
        self._do("write", relative, lambda driver, path: driver.put(path, data))

    def remove(self, relative: str) -> None:
        """Delete a file. FileNotFoundError if it is gone, or not even that."""
        self._do("delete", relative, lambda driver, path: driver.remove(path))

    def open(self, relative: str) -> RemoteFile:
        """A file to read from at any place."""
        return RemoteFile(self, relative)

    def _do(self, verb: str, relative: str, act: Callable[[Driver, str], T]) -> T:
        def once() -> T:
            driver, root = connect(self.uri, self.options)
            return act(driver, f"{root.rstrip('/')}/{relative}" if relative else root)

        try:
            return interruptible(lambda: retry(once))
        except (FileNotFoundError, DlcacheError):
            raise
        except Exception as error:
            raise self._failure(verb, relative, error) from _shown(error, self.options)

    def _failure(self, verb: str, relative: str, error: Exception) -> StorageError:
        where = f"{self.path}/{relative}".rstrip("/")
        said = redact(str(error) or type(error).__name__, self.options)
        if is_refusal(error):
            known = _WAYS.get("hdfs" if self.uri.scheme.endswith("hdfs") else self.uri.scheme)
            way = (
                "The store refused the credentials, or found none: give them in storage_options, or as its own tools "
                f"take them{f' ({known})' if known else ''}"
            )
        elif is_timeout(error):
            way = f"It did not answer in time, {ATTEMPTS} times; check the endpoint and the network"
        elif is_transient(error):
            way = f"It was tried {ATTEMPTS} times; check the endpoint and the network"
        else:
            way = "Check the path and storage_options"
        return StorageError(f"cannot {verb} {where}: {said}. {way}")


class RemoteFile:
    """An open file. Threads may share it. A request that fails is made again, on the file opened anew."""

    def __init__(self, remote: Remote, relative: str) -> None:
        self._remote, self._relative = remote, relative
        self._file: OpenFile | None = None
        self.size = remote._do("open", relative, self._open)

    def read_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, all of which the file must have."""
        return self._remote._do("read", self._relative, lambda driver, path: self._read(driver, path, offset, count))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, driver: Driver, path: str) -> int:
        self._file = file = driver.open(path)
        return file.size

    def _read(self, driver: Driver, path: str, offset: int, count: int) -> bytes:
        file = self._file
        if file is None:
            self._file = file = driver.open(path)
        try:
            data = file.read_at(offset, count)
        except Exception:
            self._file = None
            raise
        if len(data) != count:
            raise ConnectionError(f"it sent {len(data)} bytes where {count} were asked for")
        return data


def redact(text: str, options: Mapping[str, Any]) -> str:
    """`text` without the secrets of `options`, and without what looks like one."""
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SECRET_PAIR.sub(r"\1***", text)


def _secrets(options: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for name, value in options.items():
        if isinstance(value, Mapping):
            found |= _secrets(value)
        elif isinstance(value, str) and len(value) > 3 and _SECRET_NAME.search(str(name)):
            found.add(value)
    return found


def _shown(error: Exception, options: Mapping[str, Any]) -> Exception | None:
    """The error as a cause, unless a secret would be seen in it or in one behind it."""
    behind: BaseException | None = error
    while behind is not None:
        if redact(str(behind), options) != str(behind):
            return None
        behind = behind.__cause__ or behind.__context__
    return error
