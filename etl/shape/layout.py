r"""Where records begin and end, found in raw bytes.

Two ways, one fast and one exact:

**Boundaries** are recognised by a signature: a record's closing brace, a comma, and the next record's
opening up to its first member (`}`, `,`, `"key":{"Member":`, with any white space between). A match is
always structural, never inside a string, wherever the search starts. For suppose its first quote
closed a string; then what follows the quote would have to be `,`, `:`, `}`, `]` or white space, and
the signature allows none of these there. It cannot be an escaped quote, since white space or a comma
stands before it. So it opens a string, and the brace and comma before it lie outside one. What the
signature does not tell is the depth: a nested object may look like a record. That is settled by
parsing what was cut: if the bytes between two boundaries, put between the container's brackets, are a
well-formed document, then a cut that began at the depth of records has ended there (and so on, from
the first chunk to the last).

**The scanner** follows every string and bracket from a known boundary. It is some twenty times
slower, and right for every well-formed document: it serves where no signature matches, where a cut
proved wrong, and at the end of the feed, where the container closes.

JSON lines need neither proof: a raw newline cannot occur inside a JSON string (RFC 8259, section 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

Buffer = bytes | bytearray | memoryview

BLANK = b" \t\n\r"
"""JSON's white space (RFC 8259, section 2)."""

SPACE = rb"[ \t\n\r]*+"
"""A pattern of any amount of it."""


SOME = 256


def some(pattern: bytes) -> bytes:
    """Return a pattern of as many in a row as there are, up to `SOME`; none of them is ever given back.

    That is what `(?:...){1,256}+` means. CPython 3.11.0 to 3.11.4 match what they should not where anything
    but a single character is repeated in that way, and later ones may raise SystemError (cpython#100061,
    #106052, #101955); a possessive `[...]*+` is right in all of them, and so is an atomic group.
    """
    return rb"(?>(?:" + pattern + rb"){1,%d})" % SOME


def repeated(pattern: bytes) -> bytes:
    """Return the same of any number of them, at least one.

    A repetition remembers each of its turns until its atomic group ends, some 100 bytes: by `SOME` at a
    time, a million of them take as little as a few thousand.
    """
    return rb"(?>(?:" + some(pattern) + rb")+)"


STRING = rb'"[^"\\]*+(?:"|' + repeated(rb'\\.[^"\\]*+') + rb'")'
"""A pattern of a whole string (with DOTALL); atomic, so that an endless string costs one pass."""


class Container(Enum):
    """What holds the records."""

    OBJECT = "object"
    ARRAY = "array"
    LINES = "lines"


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

    @property
    def opening(self) -> bytes:
        """The bracket that opens the container."""
        return {Container.OBJECT: b"{", Container.ARRAY: b"[", Container.LINES: b""}[self.container]

    @property
    def closing(self) -> bytes:
        """The bracket that closes the container."""
        return {Container.OBJECT: b"}", Container.ARRAY: b"]", Container.LINES: b""}[self.container]

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

    Searches ever larger windows from the end, so that the usual case looks at a few records only.
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


# One token outside strings: a whole string, a lone quote (a string that goes on past the data), a
# bracket, or a comma.
_TOKEN = re.compile(STRING + rb'|["{}\[\],]', re.DOTALL)
_TEXT = rb"[^\"{}\[\]]*+"


def _flat(*more: bytes) -> bytes:
    """Return a pattern of text, strings, and whatever else there may be."""
    return _TEXT + rb"(?:" + some(rb"(?:" + b"|".join((STRING, *more)) + rb")" + _TEXT) + rb"|)"


# What changes no depth: with brackets around something flat, and commas, which separate nothing inside. It
# need not be all of it: the scanner goes on with the next token.
_INSIDE = re.compile(_flat(rb"\{" + _flat() + rb"\}", rb"\[" + _flat() + rb"\]"), re.DOTALL)
_STRING_END = re.compile(STRING[1:], re.DOTALL)

_OPENING = b"{["
_CLOSING = b"}]"
_QUOTE = ord('"')
_BACKSLASH = ord("\\")


class Scanner:
    """Follows strings and brackets from the start of a record, through data fed in pieces.

    `separators` holds the offset of every comma between records, and `closed` that of the bracket that
    closes their container; both count from the first byte that was fed.
    """

    def __init__(self) -> None:
        self.separators: list[int] = []
        self.closed: int | None = None
        self._fed = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def end(self) -> int | None:
        """Where the first record ends, if it has."""
        return self.separators[0] if self.separators else self.closed

    def feed(self, data: Buffer) -> None:
        """Go on with `data`; stops for good at the container's closing bracket."""
        position = self._leave_string(data) if self._in_string else 0
        while self.closed is None:
            if self._depth:
                inside = _INSIDE.match(data, position)
                assert inside is not None  # it may be empty
                position = inside.end()
            if (token := _TOKEN.search(data, position)) is None:
                break
            start, position = token.span()
            first = data[start]
            if first == _QUOTE:
                if position - start == 1:
                    self._in_string = True
                    self._note_escape(data, position)
                    break
            elif first in _OPENING:
                self._depth += 1
            elif first in _CLOSING:
                if self._depth == 0:
                    self.closed = self._fed + start
                else:
                    self._depth -= 1
            elif self._depth == 0:
                self.separators.append(self._fed + start)
        self._fed += len(data)

    def _leave_string(self, data: Buffer) -> int:
        """Return where the string that the data starts in ends (the data's end if it goes on)."""
        start = 1 if self._escaped and len(data) else 0
        end = _STRING_END.match(data, start)
        if end is not None:
            self._in_string = self._escaped = False
            return end.end()
        if len(data):
            self._note_escape(data, start)
        return len(data)

    def _note_escape(self, data: Buffer, start: int) -> None:
        """Note whether `data[start:]`, inside a string, ends in the middle of an escape."""
        end = len(data)
        while end > start and data[end - 1] == _BACKSLASH:
            end -= 1
        self._escaped = (len(data) - end) % 2 == 1


class LineScanner(Scanner):
    """The same for JSON lines: every newline separates, nothing closes."""

    def feed(self, data: Buffer) -> None:
        """Go on with `data`."""
        self.separators += [self._fed + found.start() for found in re.finditer(b"\n", data)]
        self._fed += len(data)
