"""Signals: what of them is inherited, and those that end a run in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from etl.errors import Stopped

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a run in order: Ctrl-C, a request to end, a terminal that is gone."""


def settle_inherited() -> None:
    """Set to their defaults the signals that whoever started this process may have left ignored or blocked.

    Ended children must be waited for, a request to end must be heard, and a closed pipe is an error as any
    other. SIGINT and SIGHUP stay ignored where they are: by that a shell keeps what it runs in the
    background from Ctrl-C, and nohup from the terminal's end.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignore_stopping() -> None:
    """Let no signal end the process: all is done and reported, and it would only change the status."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """The `STOPPING` signals that are not ignored, noted within a `with` for whoever has to end things."""

    def __init__(self) -> None:
        self.noted: list[int] = []
        self._raising = False

    def __enter__(self) -> Signals:
        numbers = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._come) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _come(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self.noted:
            return  # a shell and the kernel both send it, and no second signal is meant
        self.noted.append(number)
        if self._raising:
            raise Stopped(number)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Have them end what is done here, as any error does. Not for what logs: logging swallows errors.

        Raises:
            Stopped: one of them came, here or before.
        """
        self._raising = True
        try:
            if self.noted:
                raise Stopped(self.noted[0])
            yield
        finally:
            self._raising = False
