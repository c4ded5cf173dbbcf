"""The containers that records stand in: an object, an array, or lines.

For each: how its records are decoded at once, told apart, counted, and split by the scanner. The bytes come
as a `Piece`: whole records with a separator between each two, and room for a bracket on each side.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, repeat
from operator import add
from typing import Any

import msgspec

from etl.records.prefilter import RawFilter
from etl.records.search import SEARCHES
from etl.records.wanted import Wanted
from etl.shape.diagnosis import refuse_member, strictly
from etl.shape.layout import Container
from etl.shape.patterns import BLANK, SPACE, STRING

_KEY = re.compile(SPACE + rb"(" + STRING + rb")" + SPACE + rb":", re.DOTALL)
_PLAIN_KEY = re.compile(SPACE + rb'"([^"\\\x00-\x1f]*+)"' + SPACE + rb":")


class Irregular(Exception):
    """Bytes that a fast strategy cannot take, whether they are well-formed or not."""


UNFIT = (Irregular, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised for bytes that a fast strategy cannot take."""


class _Anything(msgspec.Struct):
    """An object whose members are all skipped, though checked."""


def check_encoding(data: bytes) -> None:
    """Raise UnicodeDecodeError if not UTF-8: the typed decoder does not look at what it skips."""
    if not data.isascii():
        data.decode()


class Piece:
    """Bytes of whole records: all of `work` but its first and last byte, which are for brackets."""

    def __init__(self, work: memoryview, kind: Container) -> None:
        self.work = work
        self.end = len(work) - 1
        """Where the records end, as an index into `work`; they begin at 1."""
        self.size = len(work) - 2
        self._opening, self._closing = kind.opening, kind.closing

    @cached_property
    def text(self) -> bytes:
        """The records' bytes.

        Raises:
            UnicodeDecodeError: they are not UTF-8.
        """
        data = bytes(self.work[1:-1])
        check_encoding(data)
        return data

    def bracketed(self, start: int, stop: int) -> memoryview:
        """Return `work[start:stop]` between brackets, which overwrite the bytes beside it."""
        self.work[start - 1 : start] = self._opening
        self.work[stop : stop + 1] = self._closing
        return self.work[start - 1 : stop + 1]

    @property
    def document(self) -> memoryview:
        """All records between the container's brackets."""
        return self.bracketed(1, self.end)


class Records(ABC):
    """The records of one kind of container, for one record type.

    What raises one of `UNFIT` does so for bytes that are malformed, or well-formed but not to be taken in
    this way: the caller tries another strategy.
    """

    kind: Container
    beside = 1
    """How many bytes a record must have beside its key and value: its separator, quotes and a colon."""

    def __init__(self, wanted: Wanted, count_values: Callable[[memoryview], int], search: Any) -> None:
        """Prepare for a record type; `count_values` validates a document and counts its values."""
        self._count_values = count_values
        decoder = msgspec.json.Decoder
        self.decode_list: Callable[[Any], list[Any]] = decoder(list[wanted.record]).decode  # type: ignore[name-defined]
        """Decodes an array of records."""

    @abstractmethod
    def decode_all(self, piece: Piece) -> Collection[tuple[str | None, Any]]:
        """Return the keys and decoded records; of several with one key, maybe the last only."""

    @abstractmethod
    def tell_apart(self, piece: Piece) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and bytes of the records; of several with one key, maybe the last only."""

    @abstractmethod
    def is_complete(self, piece: Piece, count: int) -> bool:
        """Say whether so many records are all that there are."""

    @abstractmethod
    def count(self, piece: Piece, start: int, stop: int) -> int:
        """Check that `piece.work[start:stop]` is a sequence of records, and count them."""

    def ends(self, keys: Sequence[str | None], raws: list[msgspec.Raw]) -> list[int]:
        """Return where each record and its separator would end, if there was nothing else between them."""
        return list(accumulate(map(add, map(len, raws), repeat(self.beside))))

    def plain_key(self, data: memoryview) -> tuple[str | None, int]:
        """Return a record's key, if it has no escape, and where its value begins."""
        return None, 0

    def key(self, data: bytes, offset: int) -> tuple[str | None, int]:
        """Return a record's key, and where its value begins; `data` stands at `offset` in the document.

        Raises:
            NotJson: there is no key, and should be.
        """
        return None, 0

    def split(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each record of a chunk starts and stops."""
        from etl.shape.scanner import Scanner  # its patterns take long to compile, and few chunks need it

        scanner = Scanner()
        scanner.feed(chunk)
        separators = scanner.separators
        yield from zip([0, *(s + 1 for s in separators)], [*separators, len(chunk)], strict=True)


class _Bracketed(Records):
    """What objects and arrays have in common: in brackets, they are a document."""

    def is_complete(self, piece: Piece, count: int) -> bool:
        """Say whether so many records are all that there are."""
        return self.count(piece, 1, piece.end) == count

    def count(self, piece: Piece, start: int, stop: int) -> int:
        """Check a sequence of records, and count them."""
        try:
            count = self._count_values(piece.bracketed(start, stop))
        except ValueError:  # malformed, or beyond what the validator can represent
            raise Irregular from None
        if count == 0:
            raise Irregular  # nothing between two separators
        return count


class Elements(_Bracketed):
    """The records of an array."""

    kind = Container.ARRAY

    def __init__(self, wanted: Wanted, count_values: Callable[[memoryview], int], search: Any) -> None:
        super().__init__(wanted, count_values, search)
        self._raws = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def decode_all(self, piece: Piece) -> Collection[tuple[str | None, Any]]:
        """Return the keys and decoded records."""
        return [(None, record) for record in self.decode_list(piece.document)]

    def tell_apart(self, piece: Piece) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and bytes of the records."""
        raws = self._raws(piece.document)
        return [None] * len(raws), raws


class Members(_Bracketed):
    """The records of an object."""

    kind = Container.OBJECT
    beside = len('"":,')

    def __init__(self, wanted: Wanted, count_values: Callable[[memoryview], int], search: Any) -> None:
        super().__init__(wanted, count_values, search)
        self._records = msgspec.json.Decoder(dict[str, wanted.record]).decode  # type: ignore[name-defined]
        self._raws = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._name = RawFilter(wanted.required[:1], search) if wanted.required else None
        """Finds the name of a member that every record must have."""

    def decode_all(self, piece: Piece) -> Collection[tuple[str | None, Any]]:
        """Return the keys and decoded records."""
        items: Collection[tuple[str | None, Any]] = self._records(piece.document).items()
        return items

    def tell_apart(self, piece: Piece) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and bytes of the records."""
        found = self._raws(piece.document)
        return list(found), list(found.values())

    def is_complete(self, piece: Piece, count: int) -> bool:
        """Say it by a name that each record must have, of which there are no fewer than of records.

        Where that does not tell, they are counted.
        """
        if count and self._name is not None and self._name.most(piece.work) == count:
            return True
        return super().is_complete(piece, count)

    def ends(self, keys: Sequence[str | None], raws: list[msgspec.Raw]) -> list[int]:
        """Return where each member and its separator would end, if there was nothing else between them."""
        lengths = map(add, map(len, raws), repeat(self.beside))
        return list(accumulate(map(add, lengths, map(len, keys))))  # type: ignore[arg-type]

    def plain_key(self, data: memoryview) -> tuple[str | None, int]:
        """Return a record's key, if it has no escape, and where its value begins."""
        match = _PLAIN_KEY.match(data)
        if match is None:
            raise Irregular
        return str(match[1], "utf-8"), match.end()

    def key(self, data: bytes, offset: int) -> tuple[str | None, int]:
        """Return a record's key, and where its value begins."""
        match = _KEY.match(data)
        if match is None:
            refuse_member(data, offset)
        return strictly(match[1], offset + match.start(1)), match.end()


class Lines(Records):
    """Records that stand on a line each."""

    kind = Container.LINES

    def __init__(self, wanted: Wanted, count_values: Callable[[memoryview], int], search: Any) -> None:
        super().__init__(wanted, count_values, search)
        self._records = msgspec.json.Decoder(wanted.record).decode_lines
        self._raws = msgspec.json.Decoder(msgspec.Raw).decode_lines
        self._skipped = msgspec.json.Decoder(_Anything).decode_lines

    def decode_all(self, piece: Piece) -> Collection[tuple[str | None, Any]]:
        """Return the keys and decoded records."""
        return [(None, record) for record in self._records(piece.text)]

    def tell_apart(self, piece: Piece) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and bytes of the records."""
        raws = self._raws(piece.text)
        if not _one_a_line(piece.text, len(raws)):
            raise Irregular
        return [None] * len(raws), raws

    def is_complete(self, piece: Piece, count: int) -> bool:
        """Say whether so many records are all that there are."""
        return _one_a_line(piece.text, count)

    def count(self, piece: Piece, start: int, stop: int) -> int:
        """Check a sequence of records, and count them."""
        lines = bytes(piece.work[start:stop])
        check_encoding(lines)
        count = len(self._skipped(lines))
        if not _one_a_line(lines, count):
            raise Irregular
        return count

    def split(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each line that is not blank starts and stops."""
        start = 0
        for line in chunk.split(b"\n"):
            if line.strip(BLANK):
                yield start, start + len(line)
            start += len(line) + 1


def _one_a_line(lines: bytes, count: int) -> bool:
    """Say whether so many objects stand on a line each, and no line is blank.

    To the decoder a newline is a blank like others, inside a value and between two of them. One between
    these stands between two values, and nowhere else does this occur.
    """
    occurrences = SEARCHES[0].count
    between = occurrences(lines, b"}\n{") + occurrences(lines, b"}\r\n{")
    return bool(between == occurrences(lines, b"\n") == count - 1)


CONTAINERS: dict[Container, type[Records]] = {kind.kind: kind for kind in (Elements, Members, Lines)}
