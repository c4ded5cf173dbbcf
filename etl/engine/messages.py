"""What travels through the queues: small values, each with one sender and one receiver.

    reader --Opening, Chunk, Oversize, End--> worker --Attempt, Batch, End--> writer
           <------------------------ Ready, Credit, Lost, Done ------------------------

The reader hands chunks to the first worker as long as that keeps up, and says with each chunk who will have
the next one, so that the writer knows whose result that is: results are read in source order, and no queue
ever has two senders or two receivers (`etl.engine.channels`).
"""

from __future__ import annotations

from typing import NamedTuple

from etl.declare.location import Version
from etl.records.found import Malformed, Reject, Rows
from etl.shape.layout import Layout


class Opening(NamedTuple):
    """A feed begins, or more is known of its layout; every worker is told."""

    source: int
    """Which of the run's sources it is."""
    base: int
    """The decoded length of the feeds before it, in bytes: it orders records across feeds."""
    layout: Layout


class Chunk(NamedTuple):
    """Whole records in a slab: `slabs[slab][:length]`, without the separators around them."""

    sequence: int
    slab: int
    length: int
    offset: int
    """Where the chunk starts in the decoded document, in bytes."""
    exact: bool
    """Cut by following every bracket, not by a signature: if it does not parse, the feed is bad."""
    following: int = 0
    """Which worker has the next chunk, or the end."""
    deadly: tuple[int, ...] | None = None
    """Set where the chunk has killed its worker twice: it is to be taken apart, record by record, and
    those of these numbers are to be left alone."""


class Oversize(NamedTuple):
    """A record too long for a slab; only its first bytes are in `slabs[slab][:length]`."""

    sequence: int
    slab: int
    length: int
    offset: int
    size: int
    """The record's whole length, in bytes."""
    following: int = 0
    """As in `Chunk`."""


class End(NamedTuple):
    """The feed is complete: the stream finished and the document closed (or a limit was reached)."""

    sequence: int
    bytes_read: int
    bytes_decoded: int
    limited: bool
    """Cut short by `--limit`, so not the whole feed."""
    version: Version | None
    """What the server says of the feed's state."""
    modified: bool
    """The feed is another than the one that was known; if not, nothing was read."""


class Attempt(NamedTuple):
    """A worker turns to a record of a chunk that has killed others."""

    number: int


class Batch(NamedTuple):
    """What a worker found in one chunk."""

    sequence: int
    source: int
    slab: int
    exact: bool
    following: int
    """As in `Chunk`."""
    records: int
    matched: int
    """The wanted records."""
    rows: int
    """What they have given, which is in `parts`."""
    parts: list[Rows]
    rejects: list[Reject]
    malformed: Malformed | None


class Ready(NamedTuple):
    """The writer's first word: it holds the lock, and the feeds may be opened."""

    known: Version | None
    """The feed's state at the last complete run, if the same again would change nothing."""


class Credit(NamedTuple):
    """The writer has dealt with a chunk."""

    slab: int
    applied: bool
    """Its records are staged and the slab is free. If not, the chunk must be cut again, exactly."""
    stop: bool
    """No more chunks are wanted (`--limit` was reached)."""


class Lost(NamedTuple):
    """The worker that had a chunk has died: it and those after it go to another one."""

    turn: int
    """Whose: it, or whoever took over from it."""
    sequence: int
    """The chunk that it had at hand, or would have had next."""
    deadly: tuple[int, ...] | None
    """As in `Chunk`."""


class Done(NamedTuple):
    """The writer's last word: it has the end."""


Word = Ready | Credit | Lost | Done
"""What the reader is sent."""


Task = Opening | Chunk | Oversize | End | None
"""What a worker is sent; None is the last."""

Result = Attempt | Batch | End
"""What the writer is sent."""
