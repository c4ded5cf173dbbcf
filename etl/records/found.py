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
    key: str | None
    reason: str
    raw: bytes
    """The record's first bytes (at most `RAW_BYTES`)."""


class Malformed(NamedTuple):
    """The place and reason for which bytes are not well-formed JSON records."""

    offset: int
    reason: str


@dataclass
class Parsed:
    """What a chunk holds."""

    records: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """The rows of those that are wanted, but for what is packed already."""
    packed: list[Rows] = field(default_factory=list)
    packed_rows: int = 0
    rejects: list[Reject] = field(default_factory=list)
    malformed: Malformed | None = None

    @property
    def matched(self) -> int:
        """How many records are wanted."""
        return self.packed_rows + len(self.rows)

    def pack(self, how: Callable[[list[tuple[Any, ...]]], Rows]) -> None:
        """Pack what rows there are."""
        if self.rows:
            self.packed.append(how(self.rows))
            self.packed_rows += len(self.rows)
            self.rows = []
