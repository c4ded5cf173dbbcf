"""The queues between the processes: each has one sender and one receiver, so there is nothing to lock.

A process that is killed inside a `multiprocessing.Queue` can leave its lock held for good. Here it leaves a
closed pipe: whoever waits for a dead worker's results gets `Gone`, once all that it had sent is received.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.context import ForkContext
from typing import Generic, TypeVar

from etl.engine.messages import ToWorker, ToWriter

SPARES = 8
"""How many workers may be replaced in one run."""

RESULT_BYTES = 1 << 20
"""How far a worker may be ahead of the writer, in a pipe: as much as Linux gives anybody. The usual 64 KiB
hold less than the rows of a chunk of which every record is wanted, and the two would wait for each
other."""

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

    def get(self, pause: float = 0.0) -> T:
        """Return the next value, waiting for it.

        Where none is there yet, `pause` seconds are let pass first, in which several may come: the receiver
        is then woken once, not for each.

        Raises:
            Gone: there will be none.
        """
        if pause and self.empty():
            time.sleep(pause)
        try:
            value: T = self._receiving.recv()
        except (EOFError, OSError):  # the latter inside a value
            raise Gone from None
        return value

    def empty(self) -> bool:
        """Say whether the next value would have to be waited for."""
        return not self._receiving.poll()

    def leave_sending(self) -> None:
        """Close this process's copy of the sending end: `Gone` is raised when all copies are closed."""
        self._sending.close()

    def close(self) -> None:
        """Close both of this process's copies."""
        self._sending.close()
        self._receiving.close()


class WorkerQueues:
    """What connects one worker with the reader and the writer."""

    def __init__(self, context: ForkContext) -> None:
        self.tasks: Channel[ToWorker] = Channel(context)
        self.results: Channel[ToWriter] = Channel(context, RESULT_BYTES)

    def close(self) -> None:
        """Close all of this process's copies."""
        self.tasks.close()
        self.results.close()


class Workers:
    """The queues of all workers, by the workers' indexes, and spare ones.

    A worker that takes over from a dead one has the dead one's index and the next spare queues: the reader
    and the writer each replace them when they learn of it.
    """

    def __init__(self, queues: Sequence[WorkerQueues], count: int) -> None:
        self._queues = list(queues[:count])
        self._spare = list(queues[count:])

    def __len__(self) -> int:
        return len(self._queues)

    def __getitem__(self, index: int) -> WorkerQueues:
        return self._queues[index]

    def replace(self, index: int) -> bool:
        """Use spare queues for a worker from now on; say whether there were any left."""
        if not self._spare:
            return False
        self._queues[index] = self._spare.pop(0)
        return True
