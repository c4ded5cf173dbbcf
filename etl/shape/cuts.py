"""What a cutter answers (`etl.shape.cutter`): a cut, or why there is none."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Cut(NamedTuple):
    """What was cut: whole records, at the beginning of the buffer; or the beginning of one too long."""

    offset: int
    """Where it begins in the decoded document, in bytes."""
    length: int
    """How much of the buffer is filled, without the separators around the records."""
    consumed: int
    """How long it is in the feed, with the separator after it."""
    exact: bool
    """Cut by following every bracket, not by a signature: if it does not parse, the feed is bad."""
    after_separator: bool
    """There is a separator before it."""
    size: int | None = None
    """The length of a record that is too long for the buffer, in which only its beginning is then."""


class Halt(Enum):
    """Why nothing was cut."""

    UNPROVED = "what was cut before has to be proved first"
    END = "the document is complete, and there is no more of it"
