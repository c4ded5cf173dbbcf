"""The real command under a fault: its processes by name, and its lines with the time they came at."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.support.processes import children, until

NAMES = ("writer", "reader", *(f"worker {number}" for number in range(16)))
"""Children in the order in which they are started."""

_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")


class Command:
    """`etl` that was started, in a session of its own by which all its processes are found."""

    def __init__(
        self, args: list[str], env: dict[str, str], directory: Path, prepare: Callable[[], None] | None
    ) -> None:
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "etl", *args],
            env={name: os.environ[name] for name in _INHERITED if name in os.environ} | env,
            cwd=directory, start_new_session=True, preexec_fn=prepare,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self.pids = {"parent": self.pid}
        self.lines: list[tuple[float, str]] = []
        """What it said on standard error, and when."""
        self.stdout = ""
        self.titles: set[str] = set()
        """The command lines that its processes showed."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        readers = ((self._read_lines, self._process.stderr), (self._read_all, self._process.stdout))
        self._threads = [threading.Thread(target=how, args=(pipe,)) for how, pipe in readers]
        for thread in self._threads:
            thread.start()

    def _read_lines(self, pipe: IO[str]) -> None:
        for line in pipe:
            self.lines.append((time.monotonic(), line.rstrip("\n")))

    def _read_all(self, pipe: IO[str]) -> None:
        self.stdout = pipe.read()

    # Processes -------------------------------------------------------------------------------------

    def look(self) -> dict[str, int]:
        """The processes that were seen so far, by name."""
        for pid in children(self.pid):
            if pid not in self.pids.values():
                self.pids[NAMES[len(self.pids) - 1]] = pid
                self._read_title(pid)
        return self.pids

    def _read_title(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            self.titles.add(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
            self.titles.add(Path(f"/proc/{pid}/comm").read_text())

    def signal_at(self, seconds: float, name: str, number: int) -> float | None:
        """Send a signal to a process so long after the start; returns when, or None if it has ended."""
        while self.running and (time.monotonic() < self.started + seconds or name not in self.look()):
            self.look()
            time.sleep(0.002)
        return self.send(name, number)

    def send(self, name: str, number: int) -> float | None:
        """Send a signal to a process; returns when, or None if it has ended."""
        if name not in self.look() or (name == "parent" and not self.running):
            return None
        when = time.monotonic()
        try:
            os.kill(self.pids[name], number)
        except ProcessLookupError:
            return None
        return when

    def held(self, *names: str) -> None:
        """Wait until processes have stopped at their points."""

        def stopped() -> bool:
            assert self.running, self.lines
            pids = self.look()
            return all(name in pids and state(pids[name]) == "T" for name in names)

        until(stopped)

    def members(self) -> list[int]:
        """The processes of its session that still run, whoever their parent is."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                fields = _stat(int(folder.name))
                if fields and fields[0] not in "ZX" and int(fields[3]) == self.pid:
                    found.append(int(folder.name))
        return found

    # The end ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end; return the exit status."""
        limit = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < limit, f"still running: {self.lines}"
            self.look()
            time.sleep(0.002)
        self.ended = time.monotonic()
        for thread in self._threads:  # children of a killed parent hold its pipes until they end
            thread.join(5)
        return self._process.returncode

    @property
    def stderr(self) -> str:
        return "\n".join(line for _, line in self.lines)

    @property
    def report(self) -> dict[str, Any]:
        """The object that `--json` printed."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    def said(self, text: str, after: float) -> float:
        """How long after a moment a line came that has a text."""
        return next(when - after for when, line in self.lines if text in line and when >= after)

    def close(self) -> None:
        """Kill whatever still runs."""
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


def _stat(pid: int) -> list[str]:
    """What follows the name in /proc/PID/stat: state, parent, group, session..."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def state(pid: int) -> str:
    """A process's state: S, R, T (stopped), Z..., or nothing if it is gone."""
    return (_stat(pid) or [""])[0]


def asleep(pid: int) -> bool:
    """Whether a process sleeps, now and a moment later, and has done nothing between."""
    before = _stat(pid)
    time.sleep(0.05)
    after = _stat(pid)
    return before[0] == after[0] == "S" and before[11:13] == after[11:13]


def narrow_pipes(pid: int) -> None:
    """Let every pipe of a process hold no more than a page, if it is not fuller already."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(link).startswith("pipe:"):
            pipe = os.open(link, os.O_RDWR | os.O_NONBLOCK)
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
            os.close(pipe)


def sends(pid: int) -> bool:
    """Whether a process sleeps in the middle of sending through a pipe, where the system tells."""
    place = Path(f"/proc/{pid}/wchan").read_text()
    return asleep(pid) and ("pipe_write" in place or place == "0")
