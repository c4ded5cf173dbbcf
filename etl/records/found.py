"""What a chunk of records holds: how many, the rows of those that are wanted, and what was rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from etl.declare.destination import Rows as Rows

RAW_BYTES = 1000
"""How much of a rejected record is kept."""


class Reject(NamedTuple):
    """A record that was wanted, or may have been, and could not be used."""

    offset: int
    """Where it begins in the decoded document, in bytes."""
    key: str | None
    reason: str
    raw: bytes
    """The record's first bytes (at most `RAW_BYTES`)."""


class Malformed(NamedTuple):
    """The place and reason for which bytes are not well-formed JSON records."""

    offset: int
    reason: str

    def __str__(self) -> str:
        return f"not well-formed JSON at byte {self.offset:,}: {self.reason}"


class Batch(NamedTuple):
    """What a chunk holds, as it is handed on."""

    records: int
    """All that were seen."""
    matched: int
    """The wanted ones."""
    rows: int
    """How many rows these have given, which are in `parts`."""
    parts: list[Rows]
    rejects: list[Reject]
    malformed: Malformed | None = None
    """Set where the bytes are no well-formed records: then nothing else counts."""


@dataclass
class Parsed:
    """What a chunk holds, as it is put together piece by piece."""

    records: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """The rows of those that are wanted, but for what is packed already."""
    packed: list[Rows] = field(default_factory=list)
    packed_rows: int = 0
    rejects: list[Reject] = field(default_factory=list)
    malformed: Malformed | None = None

    def add(self, more: Parsed, pack: Callable[[list[tuple[Any, ...]]], Rows] | None) -> None:
        """Take up what else was found, its rows packed if there is a way to pack them."""
        self.records += more.records
        self.rejects += more.rejects
        if pack is None:
            self.rows += more.rows
        elif more.rows:
            self.packed.append(pack(more.rows))
            self.packed_rows += len(more.rows)

    def batch(self) -> Batch:
        """Return all that was found."""
        rows = self.packed_rows + len(self.rows)
        parts = [*self.packed, self.rows] if self.rows else self.packed
        return Batch(self.records, rows, rows, parts, self.rejects, self.malformed)


def too_long(offset: int, size: int, beginning: bytes) -> Parsed:
    """Return what is found of a record that is longer than a record may be."""
    reason = f"longer than a record may be: {size:,} bytes"
    return Parsed(records=1, rejects=[Reject(offset, None, reason, beginning)])
