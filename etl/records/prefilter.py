r"""Which records are wanted: first a look at raw bytes, then the exact test on the decoded value.

The raw look may be wrong in one direction only. A JSON string that equals the value `v` is spelled
either literally, as `"v"`, or with at least one of its characters escaped (RFC 8259, section 7). An escape
of the character `c` is `\uXXXX`, where XXXX is its code, or that of the first of its two surrogates if it
is beyond U+FFFF, in digits of either case; and eight characters have one more, of two bytes: `\"`, `\\`,
`\/`, `\b`, `\f`, `\n`, `\r` and `\t`. So a record without any of the literals `"v"`, and without any of
those escapes of a character that some `v` has, holds no such string. A value with a character that must be
escaped (`"`, `\`, and those below U+0020) has no literal. What is searched for is `\u`, or `\u00` where no
wanted character is beyond U+00FF; the digits after it are looked at then.

The idea of filtering raw bytes before parsing is Sparser's (Palkar et al., VLDB 2018).

A few literals are sought one after the other, by StringZilla's substring search, which reads what is in
the core's cache at tens of gigabytes a second; more of them all at once, by Hyperscan, whose time hardly
depends on how many there are; where these are not installed, by Python's own means (`etl.records.search`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from etl.records.search import MANY, SEARCHES

FEW = 8
"""So many literals are sooner sought in turn than all at once: with AVX2, some 6; with AVX-512, some 16;
by measurement."""

_SHORT = {
    '"': rb"\"", "\\": rb"\\", "/": rb"\/",
    "\b": rb"\b", "\f": rb"\f", "\n": rb"\n", "\r": rb"\r", "\t": rb"\t",
}  # fmt: skip
"""The characters that have an escape of two bytes."""

_SURROGATES_FROM = 0x10000


def literals(wanted: Collection[str]) -> list[bytes]:
    """Return byte strings of which at least one occurs in every JSON spelling of a wanted value."""
    characters = set().union(*wanted)
    plain = sorted(f'"{value}"'.encode() for value in wanted if not any(map(_must_be_escaped, value)))
    short = sorted(_SHORT[character] for character in characters & _SHORT.keys())
    return [*plain, *short, *_prefix(characters)]


def _must_be_escaped(character: str) -> bool:
    return character < " " or character in '"\\'


def _prefix(characters: Collection[str]) -> list[bytes]:
    r"""Return what every `\uXXXX` of these characters begins with, if there are any."""
    if not characters:
        return []
    return [rb"\u00" if max(characters) <= "\xff" else rb"\u"]


def _codes(characters: Collection[str], prefix: bytes) -> frozenset[bytes]:
    """Return the digits, in lower case, that go on a prefix to the escapes of these characters."""
    units = (_first_unit(ord(character)) for character in characters)
    return frozenset((rb"\u%04x" % unit)[len(prefix) :] for unit in units)


def _first_unit(code: int) -> int:
    """Return the first, or only, 16 bits of a character in UTF-16."""
    return code if code < _SURROGATES_FROM else 0xD800 + ((code - _SURROGATES_FROM) >> 10)


class RawFilter:
    """Finds every place in raw bytes where a wanted value could stand."""

    def __init__(
        self, wanted: Collection[str], search: Any = SEARCHES[0], many: Any = MANY[0], few: int = FEW
    ) -> None:
        """Compile the literals of the wanted values; takes about 0.1 s for 10,000 of them.

        `search` seeks one literal at a time, `many` all at once if there are more than `few`.
        """
        found = literals(wanted)
        characters = set().union(*wanted)
        prefix = _prefix(characters)
        self._prefix = prefix[0] if prefix else None
        """What the escapes of wanted characters begin with; it is the last of the literals."""
        self._others = found[: len(found) - len(prefix)]
        self._codes = _codes(characters, prefix[0]) if prefix else frozenset()
        self._digits = len(next(iter(self._codes), b""))
        self._many = many(found) if len(found) > few else None
        self._search = search

    def candidates(self, data: memoryview) -> list[int]:
        """Return the offsets just after each occurrence of a literal, ascending."""
        if self._many is None:
            searched = self._search.searchable(data)
            ends = [end for literal in self._others for end in self._ends(searched, literal)]
            ends += self._escapes(data, searched)
        else:
            ends = []
            others = len(self._others)

            def note(number: int, end: int) -> None:
                if number < others or self._is_wanted(data, end):
                    ends.append(end)

            self._many.scan(data, note)
        ends.sort()
        return ends

    def most(self, data: memoryview) -> int:
        """Return how often wanted values stand there at most."""
        searched = self._search.searchable(data)
        literally: int = sum(self._search.count(searched, literal) for literal in self._others)
        return literally + len(self._escapes(data, searched))

    def _escapes(self, data: memoryview, searched: Any) -> list[int]:
        """Return where an escape of a wanted character goes on after its prefix; `searched` is the data."""
        if self._prefix is None:
            return []
        return [end for end in self._ends(searched, self._prefix) if self._is_wanted(data, end)]

    def _ends(self, searched: Any, literal: bytes) -> Iterator[int]:
        find = self._search.find
        at = find(searched, literal)
        while at >= 0:
            yield at + len(literal)
            at = find(searched, literal, at + 1)

    def _is_wanted(self, data: memoryview, end: int) -> bool:
        """Say whether the escape that goes on at `end` is of a character that a wanted value has."""
        return bytes(data[end : end + self._digits]).lower() in self._codes
