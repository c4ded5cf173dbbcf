"""Processes as the system shows them (Linux's /proc), and waiting for what they do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the children of a process, in the order in which they were started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    """Say whether a process still runs: not one that has ended and was not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_at_once(pids: Sequence[int], watching: int | None = None) -> None:
    """Kill processes before any of them, or one that is `watching`, can see that another has ended."""
    held = [*([watching] if watching is not None else []), *pids]
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    for pid in reversed(pids):  # a parent comes before its children, who would be gone with it
        os.kill(pid, signal.SIGKILL)
    if watching is not None:
        os.kill(watching, signal.SIGCONT)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to pass in time"
        time.sleep(0.01)
