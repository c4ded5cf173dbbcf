"""What every child process does around its work: signals, orphanhood, and its last word.

A child's last word goes to the parent through a pipe of its own: its result, or the error that ended it. A
child that is killed says nothing, and the parent sees only its sentinel.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, NoReturn

from etl.errors import EtlError, ProcessDied, unexpected


@dataclass(frozen=True)
class Finished:
    """A child's last word where all went well."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A child's last word where it did not."""

    error: EtlError
    details: str | None = None
    """The traceback, where the error is none that a user can cause."""


def run_child(outcome: Connection, function: Callable[[], Any]) -> None:
    """Run a child's work and send its outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow_parent, daemon=True).start()
    word: Finished | Failed
    try:
        word = Finished(function())
    except EtlError as error:
        word = Failed(error)
    except MemoryError:
        word = Failed(ProcessDied(f"{_name()} ran out of memory"))
    except Exception as error:
        word = Failed(unexpected(_name(), error), "".join(traceback.format_exception(error)))
    outcome.send(word)
    outcome.close()


def _name() -> str:
    return f"the {multiprocessing.current_process().name} process"


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Leave through the open transactions, which roll back."""
    sys.exit(128 + signal.SIGTERM)


def _follow_parent() -> None:
    """End with the parent: without it nobody would take the results or remove the processes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(ProcessDied.exit_status)
