"""Which substring search there is: by StringZilla and Hyperscan where they are installed, else by Python.

They have no wheel for every interpreter (setup.cfg says where they are asked for). The plain way finds the
very same, with `bytes.find` for a few literals and one regular expression for many.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection
from typing import Any


def _installed(name: str) -> Any:
    """Return a module, or None if there is none."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


stringzilla = _installed("stringzilla")
hyperscan = _installed("hyperscan")

Note = Callable[[int, int], None]
"""Is told the number of a literal, and where an occurrence of it ends."""


class Plain:
    """Python's own search."""

    name = "plain"

    @staticmethod
    def searchable(data: memoryview) -> Any:
        """Return data in the form that is searched fastest, if it is to be searched more than once."""
        return bytes(data)

    @staticmethod
    def find(data: Any, literal: bytes, start: int = 0) -> int:
        """Return where a literal occurs first, from `start` on; -1 if nowhere."""
        return (bytes(data) if isinstance(data, memoryview) else data).find(literal, start)

    @staticmethod
    def count(data: Any, literal: bytes) -> int:
        """Return how often a literal occurs; occurrences may overlap."""
        data = bytes(data) if isinstance(data, memoryview) else data
        found, at = 0, data.find(literal)
        while at >= 0:
            found, at = found + 1, data.find(literal, at + 1)
        return found


class StringZilla:
    """StringZilla's, which takes whatever vector instructions the processor has."""

    name = "stringzilla"

    @staticmethod
    def searchable(data: memoryview) -> Any:
        """Return the data: they are searched as they are."""
        return data

    @staticmethod
    def find(data: Any, literal: bytes, start: int = 0) -> int:
        """Return where a literal occurs first, from `start` on; -1 if nowhere."""
        return stringzilla.find(data, literal, start)  # type: ignore[no-any-return]

    @staticmethod
    def count(data: Any, literal: bytes) -> int:
        """Return how often a literal occurs; occurrences may overlap."""
        return stringzilla.count(data, literal, allowoverlap=True)  # type: ignore[no-any-return]


class PlainMany:
    """Many values sought at once, by the form that they share: one regular expression, then a set."""

    name = "plain"

    def __init__(self, literals: list[bytes]) -> None:
        """Compile literals, which are JSON strings without an escape, and beginnings of escapes."""
        numbered = [(literal, number) for number, literal in enumerate(literals)]
        self._escapes = [(literal, number) for literal, number in numbered if literal.startswith(b"\\")]
        self._numbers = dict(each for each in numbered if each not in self._escapes)
        inner = [literal[1:-1] for literal in self._numbers]
        shared = _shared(inner)
        rest = [text[len(shared) :] for text in inner] or [b""]
        lengths = {len(text) for text in rest}
        characters = b"".join(re.escape(bytes([byte])) for byte in sorted(set(b"".join(rest))))
        between = rb"[" + characters + rb"]" if characters else rb""
        if between:
            between += rb"{%d,%d}+" % (min(lengths), max(lengths))
        # What is no whole string may begin where another ends: so the last quote is only looked at.
        self._pattern = re.compile(b'"' + re.escape(shared) + between + rb'(?=")')

    def scan(self, data: memoryview, note: Note) -> None:
        """Note every occurrence of a literal, in any order."""
        numbers = self._numbers
        for found in self._pattern.finditer(data):
            number = numbers.get(found[0] + b'"')
            if number is not None:
                note(number, found.end() + 1)
        searched = bytes(data)
        for escape, number in self._escapes:
            at = searched.find(escape)
            while at >= 0:
                note(number, at + len(escape))
                at = searched.find(escape, at + 1)


def _shared(texts: Collection[bytes]) -> bytes:
    """Return what all texts begin with."""
    first, last = min(texts, default=b""), max(texts, default=b"")
    length = 0
    while length < len(first) and first[length] == last[length]:
        length += 1
    return first[:length]


class Hyperscan:
    """Hyperscan's, whose time hardly depends on how many there are."""

    name = "hyperscan"

    def __init__(self, literals: list[bytes]) -> None:
        """Compile literals."""
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=literals,
            ids=range(len(literals)),  # all alike, they would take the compiler quadratic time
            elements=len(literals),
            flags=[0] * len(literals),
            literal=True,
        )

    def scan(self, data: memoryview, note: Note) -> None:
        """Note every occurrence of a literal, in any order."""

        def found(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            note(number, end)

        self._database.scan(data, match_event_handler=found)


SEARCHES: list[Any] = [StringZilla, Plain] if stringzilla is not None else [Plain]
"""What there is to seek one literal, the fastest first."""

MANY: list[Any] = [Hyperscan, PlainMany] if hyperscan is not None else [PlainMany]
"""What there is to seek many, the fastest first."""
