"""The command in processes that have the libraries imported already: each is a fork of one that waits.

To import pyarrow and SQLAlchemy takes longer than what most tests run. A server process imports them, once
for all tests, and forks for each command; the child then does what `python -m etl` does in a new process,
with its own arguments, environment, folder and standard streams. What is settled when an interpreter starts
(its encodings, limits, what is ignored) needs a new process all the same: see `tests.support.command`.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

LIBRARIES = (
    "click", "hyperscan", "ijson.backends.yajl2_c", "multiprocessing.connection",
    "multiprocessing.popen_fork", "psycopg2.extras", "pyarrow.csv", "pyarrow.parquet", "simdjson",
    "sqlalchemy.dialects.postgresql.psycopg2", "sqlalchemy.dialects.sqlite.pysqlite", "stringzilla", "tqdm",
)  # fmt: skip
"""What takes long to import; what is not installed is left out."""

STATUS = struct.Struct("i")
STREAMS = 3


class Forked:
    """A command that the server has started: as much of `subprocess.Popen` as the tests use."""

    def __init__(
        self, args: Sequence[str], ended: socket.socket, streams: Sequence[IO[bytes] | None]
    ) -> None:
        self.args = args
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._ended = ended
        self.pid: int = STATUS.unpack(ended.recv(STATUS.size, socket.MSG_WAITALL))[0]

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with suppress(BlockingIOError):
            self._take_status(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status, or minus the signal's number."""
        try:
            self._take_status(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        assert self.returncode is not None
        return self.returncode

    def _take_status(self, timeout: float | None) -> None:
        if self.returncode is None:
            self._ended.settimeout(timeout)
            status = self._ended.recv(STATUS.size)
            assert status, "the server of commands has ended"
            self.returncode = os.waitstatus_to_exitcode(STATUS.unpack(status)[0])
            self._ended.close()

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Send the input, read both outputs to their ends, and wait for the end."""
        limit = time.monotonic() + (timeout if timeout is not None else threading.TIMEOUT_MAX)
        left = memoryview(input or b"")
        output: dict[Any, bytearray] = {
            file: bytearray() for file in (self.stdout, self.stderr) if file and not file.closed
        }
        with selectors.DefaultSelector() as selector:
            if self.stdin is not None and not self.stdin.closed:
                selector.register(self.stdin, selectors.EVENT_WRITE)
                os.set_blocking(self.stdin.fileno(), False)
            for file in output:
                selector.register(file, selectors.EVENT_READ)
            while selector.get_map():
                if (seconds := limit - time.monotonic()) <= 0:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                for key, _ in selector.select(min(seconds, 60)):
                    if key.fileobj is self.stdin:
                        try:
                            left = left[os.write(key.fd, left) if left else 0 :]
                        except BrokenPipeError:
                            left = left[:0]
                        over = not left
                    else:
                        data = os.read(key.fd, 1 << 16)
                        output[key.fileobj] += data
                        over = not data
                    if over:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        self.wait(max(0.0, limit - time.monotonic()) if timeout is not None else None)
        return self._read(self.stdout, output), self._read(self.stderr, output)

    @staticmethod
    def _read(stream: IO[bytes] | None, output: Mapping[Any, bytearray]) -> bytes:
        return bytes(output.get(stream, b""))

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Server:
    """The process that forks; it ends when this one does, or closes it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[2], env=environment,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start(
        self,
        args: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        streams: Sequence[int | IO[bytes]],
        start_new_session: bool,
    ) -> Forked:
        """Start the command; `streams` are the standard ones, as `subprocess.Popen` takes them."""
        kept: list[IO[bytes] | None] = []
        with ExitStack() as given:
            descriptors = []
            for number, stream in enumerate(streams):
                mine, its = _ends(stream, "wb" if number == 0 else "rb")
                kept.append(mine)
                descriptors.append(its)
                given.callback(os.close, its)
            request = given.enter_context(tempfile.TemporaryFile())
            about = {
                "args": list(args), "directory": str(directory), "environment": dict(environment),
                "start_new_session": start_new_session,
            }  # fmt: skip
            request.write(json.dumps(about).encode())
            request.flush()
            ended, theirs = socket.socketpair()
            given.enter_context(theirs)
            passed = array.array("i", [*descriptors, theirs.fileno(), request.fileno()])
            with self._lock:
                self._socket.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        return Forked(["etl", *args], ended, kept)

    def close(self) -> None:
        """End the server; commands that still run go on."""
        self._socket.close()
        self._process.wait(10)


def _ends(stream: int | IO[bytes], mode: str) -> tuple[IO[bytes] | None, int]:
    """Return our end of a standard stream, if there is one, and the command's."""
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        mine, its = (writing, reading) if mode == "wb" else (reading, writing)
        return os.fdopen(mine, mode), its
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    return None, os.dup(stream if isinstance(stream, int) else stream.fileno())


@cache
def server() -> Server:
    """Return the one server of this process, started when first needed."""
    started = Server()
    atexit.register(started.close)
    return started


# In the server's process -------------------------------------------------------------------------------


def _serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request, and tell how the children end.

    Returns in each child, with its request and its standard streams; in the server itself, never.
    """
    awaken, awoken = socket.socketpair()
    for end in (awaken, awoken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(awaken.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(asked, selectors.EVENT_READ)
    selector.register(awoken, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is awoken:
                awoken.recv(1 << 12)
                continue
            data, descriptors, _, _ = socket.recv_fds(asked, 1, STREAMS + 2)
            if not data:
                os._exit(0)
            ended, request = socket.socket(fileno=descriptors[-2]), descriptors[-1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Arrow's allocator has a thread
                pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for other in (asked, awaken, awoken, ended, *running.values()):
                    other.close()
                with open(request, "rb") as file:
                    file.seek(0)
                    return json.load(file), descriptors[:STREAMS]
            ended.sendall(STATUS.pack(pid))
            running[pid] = ended
            for descriptor in (request, *descriptors[:STREAMS]):
                os.close(descriptor)
        while running and (over := os.waitpid(-1, os.WNOHANG))[0]:
            with running.pop(over[0]) as ended, suppress(OSError):
                ended.sendall(STATUS.pack(over[1]))


def _become(about: dict[str, Any], streams: Sequence[int]) -> None:
    """Make this process what a new one would be."""
    if about["start_new_session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # As they are opened when an interpreter starts: for what the descriptors are now.
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)  # type: ignore[misc]
    os.chdir(about["directory"])
    os.environ.clear()
    os.environ.update(about["environment"])
    further = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [about["directory"], *further]
    sys.argv = ["etl", *about["args"]]
    tempfile.tempdir = None


def main() -> None:
    """Import what there is, wait for requests, and in each child be the command."""
    import etl

    # The modules of the command itself may look at what there is when they are imported.
    ours = [module.name for module in pkgutil.walk_packages(etl.__path__, "etl.")]
    for name in (*LIBRARIES, *ours):
        if not name.startswith(("etl.__main__", "etl.command")):
            with suppress(ImportError):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here already is not looked at again, and stays shared
    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("etl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
