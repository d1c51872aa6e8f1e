"""A small S3-compatible server in a thread: objects in a dict, every request counted, and failures on request.

It knows what `pyarrow.fs.S3FileSystem` asks for, and checks no signature.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"


@dataclass(frozen=True)
class Request:
    """One request as it came. key: the object's. first, last: the bytes asked for, with both ends; None for all."""

    method: str
    key: str
    first: int | None = None
    last: int | None = None

    @property
    def bytes(self) -> int:
        assert self.first is not None and self.last is not None
        return self.last - self.first + 1


@dataclass
class S3:
    """The server.

    fail_every: every n-th request gets a 503; stall_every: or no answer. slow: a request for the bytes of a shard waits
    for this event, if there is one, and `waiting` counts them. stalls: a request for which this is true waits until
    `resume` is set, and `waiting` counts it too.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    fail_every: int = 0
    stall_every: int = 0
    slow: threading.Event | None = None
    stalls: Callable[[Request], bool] | None = None
    resume: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _count: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for it. Its own retries are off, so that ours are seen."""
        from pyarrow import fs

        return {
            "access_key": "an-access-key",
            "secret_key": "a-secret-key",
            "endpoint_override": f"127.0.0.1:{self.port}",
            "scheme": "http",
            "region": "us-east-1",
            "request_timeout": 1.0,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=1),
        }

    def upload(self, folder: Path, prefix: str) -> str:
        """Put the files of a folder below `prefix`; the URI of it."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.objects[f"{prefix}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
        return f"s3://{BUCKET}/{prefix}"

    def fetched(self) -> Counter[str]:
        """How often each shard was opened."""
        return Counter(request.key for request in self.requests if request.method == "HEAD" and "/data/" in request.key)

    def ranges(self, part: str = "/data/") -> list[Request]:
        """The requests for bytes."""
        return [request for request in self.requests if request.method == "GET" and part in request.key]

    def take(self, request: Request) -> str:
        """What becomes of a request: `serve`, `fail` or `stall`."""
        with self._lock:
            self._count += 1
            self.requests.append(request)
            if self.fail_every and self._count % self.fail_every == 0:
                return "fail"
            return "stall" if self.stall_every and self._count % self.stall_every == 0 else "serve"


@contextmanager
def serving() -> Iterator[S3]:
    """A server until the end of the block."""
    state = S3()

    class Handler(_Handler):
        s3 = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state._over.set()
        if state.slow is not None:
            state.slow.set()
        state.resume.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: S3

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        body = self._body()
        asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (None, None)
        request = Request(self.command, key, first, last)
        fate = self.s3.take(request)
        if self.s3.stalls is not None and self.s3.stalls(request):
            self.s3.waiting.release()
            self.s3.resume.wait(120)
        if fate == "stall":
            self.s3._over.wait(30)
            self.close_connection = True
            return
        if fate == "fail":
            self._answer(503, b"<Error><Code>SlowDown</Code><Message>Slow down.</Message></Error>")
            return
        if bucket != BUCKET:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist.</Message></Error>")
        elif "uploads" in query or "uploadId" in query:
            self._upload(key, body, query)
        elif self.command == "PUT":
            self.s3.objects[key] = body
            self._answer(200, b"")
        elif self.command == "DELETE":
            self.s3.objects.pop(key, None)
            self._answer(204, b"")
        elif self.command == "POST":
            for name in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.s3.objects.pop(name, None)
            self._answer(200, b"<DeleteResult></DeleteResult>")
        elif not key and self.command == "GET":
            self._answer(200, self._listing(query))
        else:
            self._object(key, first, last)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _handle  # noqa: N815

    def _upload(self, key: str, body: bytes, query: dict[str, list[str]]) -> None:
        """An upload in parts, which older versions of PyArrow make of small files too."""
        parts = self.s3.parts.setdefault(key, {})
        if "partNumber" in query:
            parts[int(query["partNumber"][0])] = body
            self._answer(200, b"")
        elif self.command == "DELETE":
            del self.s3.parts[key]
            self._answer(204, b"")
        elif "uploads" in query:
            parts.clear()
            result = "InitiateMultipartUploadResult"
            self._answer(200, f"<{result}><UploadId>{len(self.s3.parts)}</UploadId></{result}>".encode())
        else:
            self.s3.objects[key] = b"".join(parts[number] for number in sorted(parts))
            result = "CompleteMultipartUploadResult"
            self._answer(200, f"<{result}><ETag>&quot;x&quot;</ETag></{result}>".encode())

    def _object(self, key: str, first: int | None, last: int | None) -> None:
        data = b"" if not key else self.s3.objects.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>There is no such key.</Message></Error>")
        elif self.command == "HEAD" or first is None or last is None:
            self._answer(200, data)
        else:
            if self.s3.slow is not None and "/data/" in key:
                self.s3.waiting.release()
                self.s3.slow.wait(30)
            total, last = len(data), min(last, len(data) - 1)
            self._answer(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{total}"})

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix = query.get("prefix", [""])[0]
        delimiter = query.get("delimiter", [""])[0]
        contents, prefixes = [], set()
        for key in sorted(self.s3.objects):
            if not key.startswith(prefix):
                continue
            rest, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                prefixes.add(prefix + rest + delimiter)
            else:
                size = len(self.s3.objects[key])
                contents.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size>"
                    "<LastModified>2026-11-23T08:15:30.000Z</LastModified></Contents>"
                )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(prefixes)
        )
        count = len(contents) + len(prefixes)
        return (
            f"<ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{count}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{''.join(contents)}{common}</ListBucketResult>"
        ).encode()

    def _body(self) -> bytes:
        """The body, without the frames that the AWS SDK puts around its chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "x-amz-decoded-content-length" not in self.headers:
            return data
        out = b""
        while data:
            head, _, rest = data.partition(b"\r\n")
            size = int(head.partition(b";")[0], 16)
            if not size:
                break
            out, data = out + rest[:size], rest[size + 2 :]
        return out

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {
                "Last-Modified": formatdate(1.8e9, usegmt=True),
                "ETag": '"x"',
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
