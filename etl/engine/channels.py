"""The queues between the processes: each has one sender and one receiver, so there is nothing to lock.

A process that is killed inside a `multiprocessing.Queue` can leave its lock held for good. Here it leaves a
closed pipe: whoever waits for a dead worker's results is told so, once all that it had sent is received.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.context import ForkContext
from typing import Generic, TypeVar

from etl.engine.messages import Result, Task

SPARES = 8
"""How many workers may be replaced in one run."""

RESULT_BYTES = 1 << 20
"""What a worker may be ahead of the writer, in a pipe: as much as Linux gives anybody. The usual 64 KiB
hold less than the rows of a chunk of which every record is wanted, and the two would take turns."""

T = TypeVar("T")


class Gone(Exception):
    """The sender has ended, and all that it sent has been received."""


class Channel(Generic[T]):
    """A queue between two processes that are forked after it was made."""

    def __init__(self, context: ForkContext, size: int | None = None) -> None:
        """Open a pipe; with `size`, one that holds so many bytes, where the system lets it."""
        self._receiving, self._sending = context.Pipe(duplex=False)
        if size is not None:
            with suppress(AttributeError, OSError):  # there is none on macOS, nor beyond a user's share
                fcntl.fcntl(self._sending.fileno(), fcntl.F_SETPIPE_SZ, size)

    def put(self, value: T) -> None:
        """Send a value; waits if the receiver is far behind."""
        self._sending.send(value)

    def get(self, nap: float = 0.0) -> T:
        """Return the next value, waiting for it.

        Where none is there yet, they are let come together for `nap` seconds: whoever then deals with all
        of them is woken once, not for each.

        Raises:
            Gone: there will be none.
        """
        if nap and self.empty():
            time.sleep(nap)
        try:
            value: T = self._receiving.recv()
        except (EOFError, OSError):  # the latter inside a value
            raise Gone from None
        return value

    def empty(self) -> bool:
        """Say whether there is nothing to be had without waiting."""
        return not self._receiving.poll()

    def leave_sending(self) -> None:
        """Close this process's copy of the sending end: as long as one is open, nobody is gone."""
        self._sending.close()

    def close(self) -> None:
        """Close both of this process's copies."""
        self._sending.close()
        self._receiving.close()


class Line:
    """What connects one worker with the reader and the writer."""

    def __init__(self, context: ForkContext) -> None:
        self.tasks: Channel[Task] = Channel(context)
        self.results: Channel[Result] = Channel(context, RESULT_BYTES)

    def close(self) -> None:
        """Close all of this process's copies."""
        self.tasks.close()
        self.results.close()


class Lines:
    """The lines of all workers, and spare ones for those that take over from a dead worker.

    A worker's turn begins on the line of its number; when it has died it goes on on the next spare one, at
    the reader's as at the writer's.
    """

    def __init__(self, lines: Sequence[Line], turns: int) -> None:
        self._turns = list(lines[:turns])
        self._spare = list(lines[turns:])

    def __len__(self) -> int:
        return len(self._turns)

    def __getitem__(self, turn: int) -> Line:
        return self._turns[turn]

    def replace(self, turn: int) -> bool:
        """Go on on a spare line; say whether there was one left."""
        if not self._spare:
            return False
        self._turns[turn] = self._spare.pop(0)
        return True
