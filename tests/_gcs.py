"""Objects of Google Cloud Storage, to read only: what `pyarrow.fs.GcsFileSystem` asks for, of the files of a folder. As
in the real one, a folder is nothing but a part of the names.

It is a process of its own: PyArrow holds Python's lock in the first request for a file's bytes. Its output is the port,
and then a line for each request.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OBJECTS = "/storage/v1/b/bucket/o"


@dataclass
class Gcs:
    """The server."""

    process: subprocess.Popen[str]
    port: int

    @property
    def options(self) -> dict[str, Any]:
        """storage_options for it."""
        return {"endpoint_override": f"127.0.0.1:{self.port}", "scheme": "http", "anonymous": True}

    def requests(self) -> list[str]:
        """The paths that were asked for. It ends the server."""
        self.process.terminate()
        return self.process.communicate()[0].split()


@contextmanager
def serving(bucket: Path) -> Iterator[Gcs]:
    """A server of the files of a folder, as the bucket `bucket`, until the end of the block."""
    command = [sys.executable, __file__, str(bucket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Gcs(process, int(process.stdout.readline()))
        finally:
            process.terminate()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        print(self.path, flush=True)
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        name = unquote(url.path.removeprefix(OBJECTS).removeprefix("/"))
        if url.path == OBJECTS:
            self._answer(200, json.dumps(self._listing(query)).encode())
        elif not url.path.startswith(OBJECTS) or not (self.folder / name).is_file():
            self._answer(404, b'{"error": {"code": 404, "message": "Not Found"}}')
        elif "alt" in query:
            self._media((self.folder / name).read_bytes())
        else:
            self._answer(200, json.dumps(self._metadata(name)).encode())

    def do_POST(self) -> None:
        self.close_connection = True
        self._answer(403, b'{"error": {"code": 403, "message": "Only to read"}}')

    def _listing(self, query: dict[str, list[str]]) -> dict[str, Any]:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        files = (path for path in self.folder.rglob("*") if path.is_file())
        below = [name for path in files if (name := path.relative_to(self.folder).as_posix()).startswith(prefix)]
        direct = [name for name in below if not delimiter or delimiter not in name[len(prefix) :]]
        deeper = {prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter for name in {*below} - {*direct}}
        return {"items": [self._metadata(name) for name in sorted(direct)], "prefixes": sorted(deeper)}

    def _metadata(self, name: str) -> dict[str, Any]:
        stamps = dict.fromkeys(("timeCreated", "updated"), "2026-11-23T08:15:30.000Z")
        size = str((self.folder / name).stat().st_size)
        return {"bucket": "bucket", "name": name, "size": size, "generation": "1", "metageneration": "1", **stamps}

    def _media(self, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2] or len(data) - 1)) if asked else (0, len(data) - 1)
        headers = {"Content-Range": f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"} if asked else {}
        self._answer(206 if asked else 200, data[first : last + 1], headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _main(folder: str) -> None:
    _Handler.folder = Path(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main(sys.argv[1])
