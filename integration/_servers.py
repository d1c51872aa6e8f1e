"""Stores as their own processes: an S3-compatible server and HDFS, and emulators of the two other clouds, on ports that
the operating system chooses.

They come from Maven, Go's and npm's registries once, into the cache directory of the build.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyspark

POM = Path(__file__).parent / "servers" / "pom.xml"
HADOOP = "3.5.0"
"""Of the HDFS that is started; Spark 4.2 has this one too."""
SECONDS = 120
ACCESS_KEY, SECRET_KEY = "local-identity", "local-credential"
FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.56.1"
AZURITE = "azurite@3.35.0"
"""The newest that runs on Node.js 20."""
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of the account that is built in, devstoreaccount1: it is in Azurite's manual, and no secret."""


def hadoop_version() -> str:
    """Of Hadoop's client in this Spark."""
    (jar,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    return jar.stem.removeprefix("hadoop-client-api-")


def s3a_puts_conditionally() -> bool:
    """True if this Spark's Hadoop can publish to S3."""
    return tuple(map(int, hadoop_version().split("."))) >= (3, 4, 2)


def jars(profile: str, hadoop: str = HADOOP) -> list[Path]:
    """The jars of a profile of `servers/pom.xml`, of a version of Hadoop."""
    told = hashlib.sha256(POM.read_bytes() + hadoop.encode())
    command = ["mvn", "--quiet", "--batch-mode", "-f", str(POM), "-P", profile]
    command += [f"-Dhadoop.version={hadoop}", "dependency:copy-dependencies", "-DoutputDirectory={}"]
    return sorted(_installed(f"{profile}-{told.hexdigest()[:16]}", command).glob("*.jar"))


def _installed(name: str, command: list[str], **environment: str) -> Path:
    """A folder of the build's cache. If it is not there, `command` fills it; `{}` stands for it."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlcache-build"
    folder = caches / name
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        told = {key: value.replace("{}", str(partial)) for key, value in environment.items()}
        words = [word.replace("{}", str(partial)) for word in command]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, env=os.environ | told)
        with suppress(OSError):  # another run was faster
            partial.rename(folder)
    return folder


@dataclass
class Server:
    """A process that writes what it does to its output."""

    process: subprocess.Popen[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=400))

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line with `pattern`. Raises AssertionError if the process ends before."""
        output: IO[str] | None = self.process.stdout
        assert output is not None
        watchdog = threading.Timer(SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in output:
                self.lines.append(line)
                found = re.search(pattern, line)
                if found is not None:
                    self.drain()
                    return found
        finally:
            watchdog.cancel()
        raise AssertionError("the server ended:\n" + "".join(self.lines))

    def drain(self) -> None:
        """Read its output from now on in a thread of its own, that it may never wait for a reader."""

        def read() -> None:
            assert self.process.stdout is not None
            with self.process.stdout:
                self.lines.extend(self.process.stdout)

        threading.Thread(target=read, daemon=True).start()


@contextmanager
def _running(command: list[str], **options: Any) -> Iterator[Server]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    try:
        yield Server(process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def s3proxy(folder: Path) -> Iterator[Server]:
    """S3Proxy on a folder. It is there when `port_of` returns."""
    (folder / "data").mkdir(parents=True)
    properties = folder / "s3proxy.properties"
    properties.write_text(
        "s3proxy.endpoint=http://127.0.0.1:0\n"
        "s3proxy.authorization=aws-v2-or-v4\n"
        f"s3proxy.identity={ACCESS_KEY}\n"
        f"s3proxy.credential={SECRET_KEY}\n"
        "jclouds.provider=filesystem-nio2\n"
        f"jclouds.filesystem.basedir={folder / 'data'}\n"
    )
    (jar,) = jars("s3proxy")
    with _running(["java", "-Xmx256m", "-jar", str(jar), "--properties", str(properties)]) as server:
        yield server


def port_of(server: Server) -> int:
    return int(server.wait_for(r"Started .*ServerConnector.*\{127\.0\.0\.1:([0-9]+)\}")[1])


@contextmanager
def hdfs(folder: Path) -> Iterator[Server]:
    """A name node and a data node. They are there when `wait_for_hdfs` returns."""
    folder.mkdir(parents=True)
    log4j = folder / "log4j2.properties"
    log4j.write_text(
        "rootLogger.level = warn\nrootLogger.appenderRef.c.ref = c\nappender.c.type = Console\nappender.c.name = c\n"
    )
    spark_jars = Path(pyspark.__file__).parent / "jars"
    client = [] if hadoop_version() == HADOOP else jars("client")
    path = ":".join([*map(str, [*jars("hdfs"), *client]), f"{spark_jars}/*"])
    main = "org.apache.hadoop.test.MiniDFSClusterManager"
    options = [f"-Dlog4j2.configurationFile={log4j}", f"-Dtest.build.data={folder / 'data'}"]
    arguments = ["-datanodes", "1", "-format", "-nnport", "0", "-httpport", "0"]
    arguments += ["-writeConfig", str(folder / "hdfs-site.xml"), "-writeDetails", str(folder / "details.json")]
    command = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", *options, "-cp", path, main, *arguments]
    with _running(command, cwd=folder) as server:
        server.drain()
        yield server


def wait_for_hdfs(server: Server, folder: Path) -> None:
    """Its configuration is in `folder / "hdfs-site.xml"` then."""
    end = time.monotonic() + SECONDS
    details = folder / "details.json"  # it is written last
    while not details.exists() or "}" not in details.read_text():
        assert server.process.poll() is None and time.monotonic() < end, "HDFS ended:\n" + "".join(server.lines)
        time.sleep(0.05)


@contextmanager
def fake_gcs() -> Iterator[int]:
    """Google Cloud Storage's API over memory. Yields its port; it is there then."""
    folder = _installed(FAKE_GCS_SERVER.rpartition("/")[2], ["go", "install", FAKE_GCS_SERVER], GOBIN="{}")
    with socket.socket() as free:  # the server cannot say which port it was given
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(folder / "fake-gcs-server"), "-backend", "memory", "-scheme", "http"]
    command += ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    with _running(command) as server:
        server.wait_for("server started at")
        yield port


@contextmanager
def azurite(folder: Path) -> Iterator[int]:
    """Azure's Blob API over memory: there is no hierarchical namespace. Yields its port; it is there then."""
    folder.mkdir(parents=True)
    command = ["npm", "install", "--prefix", "{}", "--no-audit", "--no-fund", "--ignore-scripts", AZURITE]
    program = _installed(AZURITE, command) / "node_modules" / ".bin" / "azurite-blob"
    options = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    with _running([str(program), "--blobHost", "127.0.0.1", "--blobPort", "0", *options], cwd=folder) as server:
        yield int(server.wait_for(r"successfully listens on http://127\.0\.0\.1:([0-9]+)")[1])
