"""Transforms in processes of their own, for functions that hold the interpreter's lock.

A worker is a fresh interpreter: nothing is forked, and the caller's script is not run again. Function and batches go
through a socket, arrays as they lie in memory. A worker ends when its socket does, so none outlives its parent.
A worker is used again only after it has answered: a call that was interrupted ends it, and no answer is left behind.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ._apply import Call, CallError
from ._errors import OptionError, TransformError
from ._values import Batch, Strings, Value

_START = "import sys; sys.path[:] = {path!r}; from dlcache._transform_processes import work; work({fd})"


class WorkerTracebackError(Exception):
    """The traceback of an error in a worker process, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class WorkerError(Exception):
    """An error of a worker process that could not be sent as it is: its type's name and its text."""


class Processes:
    """A `Runner` that does calls in up to `count` processes. They are started by the first calls."""

    def __init__(self, call: Call, count: int) -> None:
        self._payload = _dumps(call)
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(count)
        self._idle: deque[_Worker] = deque()
        self._closed = False
        weakref.finalize(self, _end, self._workers)

    def __call__(self, batch: Batch) -> dict[str, Value]:
        with self._slots:
            worker = self._worker()
            reply = worker.call(batch)
            self._idle.append(worker)
        if "values" in reply:
            values: dict[str, Value] = reply["values"]
            return values
        error = _loaded(reply)
        if isinstance(error, TransformError):
            raise error
        raise CallError(reply["row"]) from error

    def _worker(self) -> _Worker:
        """A worker that waits for a call, or a new one."""
        with self._lock:
            if self._closed:
                raise TransformError("the iteration has ended, and its transform processes with it")
            if self._idle:
                return self._idle.pop()
            self._workers[:] = [worker for worker in self._workers if worker.alive]
            worker = _Worker(self._payload)
            self._workers.append(worker)
            return worker

    def close(self) -> None:
        with self._lock:
            self._closed = True
            _end(self._workers)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.end()
    workers.clear()


class _Worker:
    """One process and the parent's end of its socket."""

    def __init__(self, payload: bytes) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, fd=theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", **os.environ},
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())
        self._owner = os.getpid()
        self._payload: bytes | None = payload
        self.alive = True

    def call(self, batch: Batch) -> Any:
        try:
            if self._payload is not None:
                self._connection.send_bytes(self._payload)
                self._payload = None
            _send(self._connection, _packed({name: _plain(value) for name, value in batch.items()}))
            return _receive(self._connection)
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):  # it is ending by itself
                self._process.wait(1)
            self.end()
            self._connection.close()
            code = self._process.returncode
            how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with status {code}"
            raise TransformError(
                f"a transform process ended {how} in the middle of a batch. If it was killed, memory may have run out: "
                "use fewer num_processes or a smaller batch_size; else the function ended the process"
            ) from error
        except BaseException:  # Ctrl-C, mostly: the answer would be the next call's
            self.end()
            raise

    def end(self) -> None:
        """End the process, if it is this process's own. The socket closes when nobody refers to it: a thread may be
        reading from it, and gets its end now."""
        self.alive = False
        if self._owner == os.getpid():
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()


def _plain(value: Value) -> Value:
    """A value whose bytes are its own, and not an address of this process."""
    return Strings(value.data, value.offsets, value.text) if isinstance(value, Strings) else value


def _dumps(call: Call) -> bytes:
    """A call, by cloudpickle if it is there: that sends also functions of notebooks, lambdas and closures."""
    if os.name != "posix":
        raise OptionError("num_processes needs a POSIX system; use num_threads")
    pickler = _pickler()
    if pickler is pickle and getattr(call.func, "__module__", None) == "__main__":
        raise OptionError(
            "num_processes: a function of the main script cannot be sent to another process by pickle; install "
            "cloudpickle, or put the function into a module"
        )
    try:
        data: bytes = pickler.dumps(call)
    except Exception as error:
        raise OptionError(
            f"num_processes: the function cannot be sent to another process: {error}. Install cloudpickle, or use a "
            "function of a module that holds no open files, locks or sessions"
        ) from error
    return data


def _pickler() -> Any:
    for name in ("cloudpickle", "pyspark.cloudpickle"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return pickle


def _packed(message: Any) -> list[Any]:
    """A message as the parts that are sent: the sizes of its arrays, everything else, and the arrays' memory."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, 5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    return [pickle.dumps([array.nbytes for array in arrays]), body, *(array for array in arrays if array.nbytes)]


def _send(connection: Connection, parts: list[Any]) -> None:
    for part in parts:
        connection.send_bytes(part)


def _receive(connection: Connection) -> Any:
    sizes = pickle.loads(connection.recv_bytes())
    body = connection.recv_bytes()
    buffers = [np.empty(size, np.uint8) for size in sizes]
    for buffer in buffers:
        if len(buffer):
            connection.recv_bytes_into(buffer)
    return pickle.loads(body, buffers=buffers)


def _loaded(reply: Any) -> BaseException:
    try:
        error: BaseException = pickle.loads(reply["error"])
    except Exception:
        error = WorkerError(reply["text"])
    error.__cause__ = WorkerTracebackError(reply["traceback"])
    return error


# In the worker process


def work(fd: int) -> None:
    """Do calls until the socket ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(fd)
    try:
        payload = connection.recv_bytes()
        call: Call | None = None
        while True:
            batch = _receive(connection)
            try:
                call = call or pickle.loads(payload)
                parts = _packed({"values": {name: _plain(value) for name, value in call(batch).items()}})
            except CallError as failed:
                parts = _packed(_failure(failed.__cause__ or failed, failed.row))
            except Exception as error:
                parts = _packed(_failure(error, None))
            _send(connection, parts)
    except (EOFError, OSError):
        return


def _failure(error: BaseException, row: int | None) -> dict[str, Any]:
    try:
        sent = pickle.dumps(error)
    except Exception:
        sent = b""
    text = "".join(traceback.format_exception(error))
    return {"row": row, "error": sent, "text": f"{type(error).__name__}: {error}", "traceback": text}
