"""What every child process does around its work: signals, an end with its parent, and its outcome.

The outcome goes to the parent through a pipe of the child's own: its result, or the error that ended it. A
child that is killed sends none, and the parent sees only its sentinel.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from etl.engine.signals import STOPPING
from etl.errors import EtlError, ProcessDied, reported, stack_of


@dataclass(frozen=True)
class Finished:
    """A child's outcome where all went well."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A child's outcome where it did not."""

    error: EtlError
    details: str | None = None
    """The traceback, where the error is none that a user can cause."""


def run_child(parent: Connection, outcome: Connection, function: Callable[[], Any]) -> None:
    """Run a child's work and send its outcome; when `parent` is closed, the parent has ended."""
    # What psycopg2 can raise to nobody, such as a session's end within COPY, it would print, with values.
    sys.excepthook = _say_nothing
    sys.unraisablehook = _say_nothing
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group: the parent decides
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    result: Finished | Failed
    try:
        # SIGTERM is for the main thread, which may hold it off; the thread inherits what is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        result = Finished(function())
    except MemoryError:
        result = Failed(ProcessDied(f"{_name()} ran out of memory"))
    except Exception as error:
        result = Failed(reported(_name(), error), None if isinstance(error, EtlError) else stack_of(error))
    try:
        outcome.send(result)
    except MemoryError:  # not even for that
        os._exit(ProcessDied.exit_status)
    outcome.close()


def _say_nothing(*_: object) -> None:
    pass


def _name() -> str:
    return f"the {multiprocessing.current_process().name} process"


def _follow(parent: Connection) -> None:
    """End with the parent: without it nobody would receive the results or end the processes."""
    wait([parent])
    os._exit(ProcessDied.exit_status)


@contextmanager
def termination_held() -> Iterator[Callable[[], None]]:
    """Hold SIGTERM off while something must not be left half done.

    Yields a function that ends the process, by way of its open contexts, if SIGTERM came meanwhile.
    """

    def leave_if_asked() -> None:
        if signal.SIGTERM in signal.sigpending():
            raise SystemExit(128 + signal.SIGTERM)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield leave_if_asked
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
