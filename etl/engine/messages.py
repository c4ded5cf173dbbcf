"""What travels through the queues: small values, each with one sender and one receiver.

    reader --Opening, Chunk, End--> worker --Attempt, Answer, End--> writer
           <--------------------- Ready, Credit, Lost, Done ----------------

The reader hands chunks to the first worker as long as that keeps up, and says with each chunk which worker
will have the next one, so that the writer knows whose answer that is: answers are read in source order, and
no queue ever has two senders or two receivers (`etl.engine.channels`).
"""

from __future__ import annotations

from typing import NamedTuple

from etl.declare.location import Version
from etl.records.found import Batch
from etl.shape.cuts import Cut
from etl.shape.layout import Layout


class Opening(NamedTuple):
    """A feed begins, or more is known of its layout; every worker is told."""

    source: int
    """Which of the run's sources it is."""
    base: int
    """The decoded length of the feeds before it, in bytes: it orders records across feeds."""
    layout: Layout


class Chunk(NamedTuple):
    """What was cut, in a slab."""

    sequence: int
    slab: int
    cut: Cut
    next_worker: int = 0
    """The index of the worker that has the next chunk, or the end."""
    poison: tuple[int, ...] | None = None
    """Set where the chunk has killed its worker twice: it is to be taken apart, record by record, and
    those of these numbers are to be left alone."""


class End(NamedTuple):
    """The feeds are complete: the streams finished and the documents closed (or a limit was reached)."""

    bytes_read: int
    bytes_decoded: int
    version: Version | None = None
    """What the server says of the feed's state."""
    modified: bool = True
    """The feed is another than the one that was known; if not, nothing was read."""


class Attempt(NamedTuple):
    """A worker turns to a record of a chunk that has killed others."""

    number: int


class Answer(NamedTuple):
    """What a worker found in one chunk."""

    source: int
    slab: int
    exact: bool
    """As in `Cut`."""
    next_worker: int
    """As in `Chunk`."""
    batch: Batch


class Ready(NamedTuple):
    """The writer holds the lock, and the feeds may be opened; it is the first message to the reader."""

    known: Version | None
    """The feed's state at the last complete run, if the same again would change nothing."""


class Credit(NamedTuple):
    """The writer has dealt with a chunk."""

    applied: bool
    """Its records are staged and its slab is free. If not, the chunk must be cut again, exactly."""
    stop: bool
    """No more chunks are wanted (`--limit` was reached)."""


class Lost(NamedTuple):
    """The worker that had a chunk has died: it and those after it go to another one."""

    worker: int
    """The index of the worker, which is also that of whoever takes over."""
    sequence: int
    """The chunk that it had at hand, or would have had next."""
    poison: tuple[int, ...] | None
    """As in `Chunk`."""


class Done(NamedTuple):
    """The writer has received the end; it is the last message to the reader."""


ToReader = Ready | Credit | Lost | Done

ToWorker = Opening | Chunk | End | None
"""None is the last."""

ToWriter = Attempt | Answer | End
