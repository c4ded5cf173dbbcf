r"""Which records are wanted: first a look at raw bytes, then the exact test on the decoded value.

The raw look may be wrong in one direction only. A JSON string that equals the value `v` is spelled
either literally, as `"v"`, or with at least one of its characters escaped (RFC 8259, section 7). Where
every character of `v` is printable ASCII other than `"`, `\` and `/`, the only escape there is for
them is `\u00XX`, and XX is the code of a character of `v`. So a record without any of the literals `"v"`
and without such an escape holds no such string. For other values the escape that is searched for is
wider: any `\u`, or any backslash at all.

The idea of filtering raw bytes before parsing is Sparser's (Palkar et al., VLDB 2018).

A few literals are sought one after the other, by StringZilla's substring search, which reads what is in
the core's cache at tens of gigabytes a second; more of them all at once, by Hyperscan, whose time hardly
depends on how many there are; where these are not installed, by Python's own means (`etl.search`).
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from etl.search import MANY, SEARCHES

FEW = 8
"""So many literals are sooner sought in turn than all at once: with AVX2, some 6; with AVX-512, some 16;
by measurement."""

_ASCII_ESCAPE = b"\\u00"


def literals(wanted: Collection[str]) -> list[bytes]:
    """Return byte strings of which at least one occurs in every JSON spelling of a wanted value."""
    plain = {json.dumps(value, ensure_ascii=False).encode() for value in wanted}
    return [*sorted(plain), _escape(wanted)]


def _escape(wanted: Collection[str]) -> bytes:
    r"""Return the shortest prefix that every escape inside a wanted value shares.

    `json.dumps` escapes only what has to be, so a value with one such character never stands literally,
    and its literal does no harm.
    """
    characters = set().union(*wanted)
    if any(character in '"\\/' or character < " " for character in characters):
        return b"\\"
    if all(character <= "~" for character in characters):
        return _ASCII_ESCAPE
    return b"\\u"


class RawFilter:
    """Finds every place in raw bytes where a wanted value could stand."""

    def __init__(self, wanted: Collection[str], search: Any = SEARCHES[0], many: Any = MANY[0]) -> None:
        """Compile the literals of the wanted values; takes about 0.1 s for 10,000 of them."""
        self._literals = literals(wanted)
        self._escape = len(self._literals) - 1
        self._codes: frozenset[bytes] | None = None
        if self._literals[-1] == _ASCII_ESCAPE:
            self._codes = frozenset(b"%02x" % ord(character) for character in set().union(*wanted))
        self._many = many(self._literals) if len(self._literals) > FEW else None
        self._search = search
        self._data: Any = memoryview(b"")
        self._ends: list[int] = []

    def candidates(self, data: memoryview) -> list[int]:
        """Return the offsets just after each occurrence of a literal, ascending."""
        self._data, self._ends = data, []
        if self._many is None:
            self._seek(self._search.searchable(data))
        else:
            self._many.scan(data, self._note)
        self._ends.sort()
        return self._ends

    def most(self, data: memoryview) -> int:
        """Return how often wanted values stand there at most."""
        self._data, self._ends = data, []
        searched = self._search.searchable(data)
        self._seek_escapes(searched)
        literally: int = sum(self._search.count(searched, literal) for literal in self._literals[:-1])
        return literally + len(self._ends)

    def _seek(self, data: Any) -> None:
        find = self._search.find
        for literal in self._literals[:-1]:
            at = find(data, literal)
            while at >= 0:
                self._ends.append(at + len(literal))
                at = find(data, literal, at + 1)
        self._seek_escapes(data)

    def _seek_escapes(self, data: Any) -> None:
        find, escape = self._search.find, self._literals[-1]
        at = find(data, escape)
        while at >= 0:
            if self._counts(at + len(escape)):
                self._ends.append(at + len(escape))
            at = find(data, escape, at + 1)

    def _note(self, number: int, end: int) -> None:
        if number != self._escape or self._counts(end):
            self._ends.append(end)

    def _counts(self, end: int) -> bool:
        """Say whether the escape that goes on at `end` may be of a character that a wanted value has."""
        return self._codes is None or bytes(self._data[end : end + 2]).lower() in self._codes


def member(record: type[msgspec.Struct], path: tuple[str, ...]) -> Callable[[Any], str]:
    """Return a getter of the member at `path` (names as in the JSON) of a decoded record."""
    attributes = []
    kind: Any = record
    for name in path:
        field = next(f for f in msgspec.structs.fields(kind) if f.encode_name == name)
        attributes.append(field.name)
        kind = field.type
    return operator.attrgetter(".".join(attributes))


def undecoded_member(value: Any, path: tuple[str, ...]) -> Any:
    """Return the member at `path` of a generic JSON value, or None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
