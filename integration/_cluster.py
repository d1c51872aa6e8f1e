"""A Spark standalone cluster on loopback: a master and two workers, whose executors are processes of their own; and
drivers for it, processes too, that do what a test tells them, one JSON line at a time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyspark

HERE = Path(__file__).parent
SPARK_HOME = Path(pyspark.__file__).parent
PATIENCE = 120
"""Seconds after which a process that does not answer is an error. Nothing waits that long in a run that passes."""


class Process:
    """A process in a group of its own, which goes at the end of the block with all that it started."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str], *, speaks: bool) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if speaks else self._log,
            stderr=self._log if speaks else subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        stream = self._process.stdout if speaks else self._process.stderr
        assert stream is not None
        self._lines: IO[bytes] = stream
        self._path = log
        self._pending = b""

    def fileno(self) -> int:
        return self._lines.fileno()

    def line(self) -> str:
        """The next line that it writes."""
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._lines], [], [], PATIENCE)
            piece = os.read(self._lines.fileno(), 1 << 16) if ready else b""
            if not piece:
                raise AssertionError(f"it {'ended' if ready else 'does not answer'}; see {self._path}:\n{self.tail()}")
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def line_with(self, text: str) -> str:
        """The next line that has `text` in it; what comes before and after goes to the log."""
        while True:
            line = self.line()
            self._log.write(f"{line}\n".encode())
            self._log.flush()
            if text in line:
                return line

    def drain(self) -> None:
        """Let it write on, into the log."""

        def copy() -> None:
            while piece := os.read(self._lines.fileno(), 1 << 16):
                self._log.write(piece)

        threading.Thread(target=copy, daemon=True).start()

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def tail(self) -> str:
        return self._path.read_text(errors="replace")[-6000:]

    def kill(self) -> None:
        """SIGKILL to it and to all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._log.close()


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parent / "python"), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", **more}


@contextmanager
def cluster(base: Path) -> Iterator[str]:
    """A master and two workers; the address of the master. The system chooses all ports."""
    spark_class = str(SPARK_HOME / "bin" / "spark-class")
    settings = environment(SPARK_DAEMON_MEMORY="256m", SPARK_NO_DAEMONIZE="1")
    running: list[Process] = []

    def start(name: str, host: str, *arguments: str) -> Process:
        ports = ["--host", host, "--port", "0", "--webui-port", "0"]
        command = [spark_class, f"org.apache.spark.deploy.{name}", *ports, *arguments]
        process = Process(command, base / f"{name}-{len(running)}.log", settings, speaks=False)
        running.append(process)
        return process

    try:
        master = start("master.Master", "127.0.0.1")
        address = master.line_with("Starting Spark master at").split()[-1]
        # Two names for one machine: Spark runs no second attempt of a task on the host of the first.
        for host in ("127.0.0.1", "localhost"):
            work = base / f"work-{host}"
            start("worker.Worker", host, "--cores", "3", "--memory", "2g", "--work-dir", str(work), address)
        for worker in running[1:]:
            worker.line_with("Successfully registered with master")
        for process in running:
            process.drain()
        yield address
    finally:
        for process in reversed(running):
            process.close()


def compile_faults(base: Path) -> Path:
    """FaultFileSystem, compiled against the jars of this Spark: a directory for class paths."""
    classes = base / "classes"
    classes.mkdir()
    source = HERE / "faults" / "FaultFileSystem.java"
    command = ["javac", "-nowarn", "--release", "17", "-cp", f"{SPARK_HOME}/jars/*", "-d", str(classes), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return classes


def fault_settings(classes: Path, control: Path) -> dict[str, str]:
    """The conf of an application that has `fault:` paths."""
    return {
        "spark.driver.extraClassPath": str(classes),
        "spark.executor.extraClassPath": str(classes),
        "spark.hadoop.fs.fault.impl": "FaultFileSystem",
        "spark.hadoop.fs.fault.control": str(control),
    }


class Driver:
    """A Spark application: a driver in processes of its own.

    base: a folder for its files. more: of its environment. conf: of Spark.
    """

    def __init__(self, master: str, base: Path, more: Mapping[str, str], **conf: str) -> None:
        settings = {
            "spark.driver.memory": "512m",
            "spark.executor.memory": "512m",
            "spark.executor.cores": "1",
            "spark.cores.max": "2",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(base / "warehouse"),
            **conf,
        }
        command = [sys.executable, str(HERE / "_driver_script.py"), master, json.dumps(settings)]
        self._process = Process(command, base / "driver.log", environment(**more), speaks=True)

    def __enter__(self) -> Driver:
        self.jvm: int = self.answer()["jvm"]
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def ask(self, what: str, **arguments: Any) -> None:
        """Let it begin something."""
        self._process.say(json.dumps({"do": what, **arguments}))

    def answer(self) -> dict[str, Any]:
        """What came of it."""
        answer: dict[str, Any] = json.loads(self._process.line())
        return answer

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """`ask` and `answer`. An error of Spark or of the connector is an answer: `{"error": its text}`."""
        self.ask(what, **arguments)
        return self.answer()

    def fileno(self) -> int:
        """For `select`: it can be read when there is an answer."""
        return self._process.fileno()

    def kill(self) -> None:
        """SIGKILL to Python and to the JVM."""
        self._process.kill()

    def log(self) -> str:
        """All that it has logged."""
        return self._process._path.read_text(errors="replace")


class Stopper:
    """A debugger that holds a JVM in one very call; see Stopper.java for what a place is."""

    def __init__(self, base: Path, *places: tuple[str, str, str, str]) -> None:
        command = ["java", str(HERE / "faults" / "Stopper.java"), *(word for place in places for word in place)]
        self._process = Process(command, base / "stopper.log", environment(), speaks=True)

    def __enter__(self) -> Stopper:
        address = self._process.line().removeprefix("listening ")
        self.jvm_option = f"-agentlib:jdwp=transport=dt_socket,server=n,suspend=y,address={address}"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()

    def wait(self, driver: Driver) -> None:
        """Until the driver, which has begun something, is held there."""
        both: list[Process | Driver] = [self._process, driver]
        ready = select.select(both, [], [], PATIENCE)[0]
        assert ready == [self._process], f"it came through: {driver.answer() if ready else driver.log()}"
        assert self._process.line() == "stopped"


def ended(process: int) -> None:
    """Waits until a process has gone, which is nobody's child here."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), f"process {process} does not end"
    finally:
        os.close(descriptor)


class Faults:
    """The faults that a FaultFileSystem meets; see there."""

    def __init__(self, control: Path) -> None:
        self.control = control
        control.mkdir()
        os.mkfifo(control / "hung")
        self._hung = os.open(control / "hung", os.O_RDWR)

    def at(self, place: str, fault: str) -> None:
        """Let this happen at a place, once (`full`: until `clear`)."""
        beside = self.control / f"new-{place}"
        beside.write_text(fault)
        beside.rename(self.control / place)

    def every(self, number: int, fault: str) -> None:
        """Let each N-th request `fail` or `stall`."""
        self.at("every", f"{number} {fault}")

    def hung(self) -> int:
        """Waits until a process hangs; its id."""
        ready, _, _ = select.select([self._hung], [], [], PATIENCE)
        assert ready, "no process came to where it was to hang"
        return int(os.read(self._hung, 64))

    def clear(self) -> None:
        for path in self.control.iterdir():
            if path.name != "hung":
                path.unlink()

    def taken(self, place: str) -> bool:
        return not (self.control / place).exists()

    def close(self) -> None:
        os.close(self._hung)
