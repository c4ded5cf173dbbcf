r"""Where the records of a feed are, and where one ends and the next begins, found in raw bytes.

A **boundary** is recognised by a signature: a record's closing brace, a comma, and the next record's
opening up to its first member (`}`, `,`, `"key":{"Member":`, with any white space between). A match is
always structural, never inside a string, wherever the search starts. For suppose its first quote
closed a string; then what follows the quote would have to be `,`, `:`, `}`, `]` or white space, and
the signature allows none of these there. It cannot be an escaped quote, since white space or a comma
stands before it. So it opens a string, and the brace and comma before it lie outside one. What the
signature does not tell is the depth: a nested object may look like a record. That is settled by
parsing what was cut: if the bytes between two boundaries, put between the container's brackets, are a
well-formed document, then a cut that began at the depth of records has ended there (and so on, from
the first chunk to the last).

JSON lines need no such proof: a raw newline cannot occur inside a JSON string (RFC 8259, section 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from etl.shape.patterns import SPACE, Buffer


class Container(Enum):
    """What holds the records."""

    OBJECT = "object"
    ARRAY = "array"
    LINES = "lines"

    @property
    def opening(self) -> bytes:
        """The bracket that opens it."""
        return {"object": b"{", "array": b"["}.get(self.value, b"")

    @property
    def closing(self) -> bytes:
        """The bracket that closes it."""
        return {"object": b"}", "array": b"]"}.get(self.value, b"")


class RecordSigns(NamedTuple):
    """How the first record of a feed is recognised."""

    marker: str | None
    """A member that every record has, an object; None where a record may be anything."""
    envelope: tuple[str, ...]
    """Members of the root under which the records may be."""
    members: tuple[str, ...]
    """The names by which a record usually begins."""


@dataclass(frozen=True)
class Layout:
    """The shape of one feed, learned from its first bytes."""

    container: Container
    path: tuple[str, ...]
    """The members that lead from the root to the container."""
    start: int
    """The offset of the first byte inside the container."""
    members: tuple[str, ...]
    """The names by which a record may begin: those the pipeline knows, and those seen."""

    def boundary(self) -> re.Pattern[bytes]:
        """Return the signature of a boundary; its group 1 is the separator between two records."""
        if self.container is Container.LINES:
            return re.compile(rb"(\n)")
        names = b"|".join(re.escape(name.encode()) for name in self.members)
        opening = rb'"(?![,:}\]\s])'  # a quote that cannot close a string
        record = rb"\{" + SPACE + opening + rb"(?:" + names + rb')"' + SPACE + rb":"
        if self.container is Container.OBJECT:
            key = opening + rb'[^"\\]*+"'
            record = key + SPACE + rb":" + SPACE + record
        return re.compile(rb"\}" + SPACE + rb"(,)" + SPACE + record)


_BEGINNING = re.compile(
    SPACE + rb'(?:"[^"\\]*+"' + SPACE + rb":)?" + SPACE + rb"\{" + SPACE + rb'"([^"\\]*+)"'
)

MOST_MEMBERS = 32
"""How many names a signature may have."""


def learned(layout: Layout, data: Buffer, separators: Iterable[int]) -> Layout:
    """Return a layout that also knows by which names the records after certain separators begin."""
    found = (_BEGINNING.match(data, separator + 1) for separator in separators)
    names = {str(match[1], "utf-8", "replace") for match in found if match is not None}
    return replace(layout, members=tuple(dict.fromkeys((*layout.members, *sorted(names))))[:MOST_MEMBERS])


def last_boundary(signature: re.Pattern[bytes], data: Buffer, start: int, end: int) -> int:
    """Return the offset of the last separator in `data[start:end]`, or -1.

    Searches ever larger windows from the end, so that usually only a few records are searched.
    """
    window = 1024
    while True:
        begin = max(start, end - window)
        last = -1
        for match in signature.finditer(data, begin, end):
            last = match.start(1)
        if last >= 0 or begin == start:
            return last
        window *= 16
