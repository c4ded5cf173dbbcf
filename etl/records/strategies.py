"""The fast strategies to parse a piece of a chunk: by candidates, by telling records apart, as a whole.

Each checks every byte, and returns what the piece holds; or None where it does not fit, be it that the
bytes are malformed or that they are well-formed in an unusual way (an integer over 64 bits, a key with an
escape). A record that has to be rejected is such a case too, where its place is not known.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from etl.records.containers import UNFIT, Piece, Records
from etl.records.exact import RecordParser
from etl.records.found import Parsed
from etl.records.wanted import Wanted
from etl.shape.diagnosis import NotJson
from etl.shape.layout import last_boundary


class Strategy(Protocol):
    """A way to parse a piece."""

    def parse(self, piece: Piece, candidates: list[int] | None, offset: int, base: int) -> Parsed | None:
        """Return what a piece holds, which stands at `offset` in its document; None if this cannot tell.

        `candidates` are the places in the piece, ascending, where a wanted value may end; None is
        everywhere. `base` is added to the positions of rows.
        """


class Whole:
    """All records are decoded at once; of a row's position only the order is right."""

    def __init__(self, wanted: Wanted, records: Records) -> None:
        self._wanted = wanted
        self._records = records

    def parse(self, piece: Piece, candidates: list[int] | None, offset: int, base: int) -> Parsed | None:
        """Return what the piece holds."""
        try:
            _ = piece.text
            found = self._records.decode_all(piece)
            count = len(found)
            if not self._records.is_complete(piece, count):
                return None
        except UNFIT:
            return None
        items: Iterable[tuple[int, tuple[str | None, Any]]] = enumerate(found, base + offset)
        wanted = self._wanted
        row, selection, values, match = wanted.row, wanted.selection, wanted.values, wanted.match
        try:
            if values is not None and match is not None:
                tested = match.get
                items = (item for item in items if tested(item[1][1]) in values)
            rows = [(position, *row(key, record, selection)) for position, (key, record) in items]
        except Exception:  # a reject, whose place must be told, or a mistake of the pipeline's
            return None
        return Parsed(records=count, rows=rows)


class ToldApart:
    """All records are told apart, and those that may be wanted are decoded together.

    Where each begins follows from how long the others are, if nothing but separators stands between them.
    """

    def __init__(self, wanted: Wanted, records: Records) -> None:
        self._wanted = wanted
        self._records = records
        self._compact = True
        """There may be nothing between the records, and around their keys, that need not be there."""

    def parse(self, piece: Piece, candidates: list[int] | None, offset: int, base: int) -> Parsed | None:
        """Return what the piece holds."""
        if not (self._compact or self._wanted.raw):
            return None
        try:
            _ = piece.text
            keys, raws = self._records.tell_apart(piece)
            places = self._places(piece, keys, raws)
            if places is None and not (self._wanted.raw and self._records.is_complete(piece, len(raws))):
                return None
            if places is None or candidates is None:
                numbers: Iterable[int] = range(len(raws))
            else:
                numbers = dict.fromkeys(bisect_left(places, at, lo=1) - 1 for at in candidates)
            decoded = self._records.decode_list(
                b"[" + b",".join([raws[number] for number in numbers]) + b"]"
            )
        except UNFIT:
            return None
        first = base + offset
        begins: Sequence[int] = range(len(raws)) if places is None else places
        try:
            rows = self._rows(zip(numbers, decoded, strict=True), first, begins, keys, raws)
        except Exception:  # a reject, or a mistake of the pipeline's
            return None
        return Parsed(records=len(raws), rows=rows)

    def _places(
        self, piece: Piece, keys: Sequence[str | None], raws: list[msgspec.Raw]
    ) -> list[int] | None:
        """Return where each record begins, and where one after the last would; None if that is not known.

        Blanks, escapes in a key, or a record that gave way to another one with the same key, would all make
        the piece longer than its records are.
        """
        ends = self._records.ends(keys, raws)
        if not ends or ends[-1] - 1 != piece.size:
            self._compact = False
            return None
        return [0, *ends]

    def _rows(
        self,
        decoded: Iterable[tuple[int, Any]],
        first: int,
        begins: Sequence[int],
        keys: Sequence[str | None],
        raws: list[msgspec.Raw],
    ) -> list[tuple[Any, ...]]:
        """Return the rows of the decoded records that are wanted, each with its number among all."""
        wanted = self._wanted
        if wanted.values is not None and wanted.match is not None:
            tested, values = wanted.match.get, wanted.values
            decoded = (item for item in decoded if tested(item[1]) in values)
        if wanted.raw:
            return [(first + begins[n], keys[n], bytes(raws[n])) for n, _ in decoded]
        row, selection = wanted.row, wanted.selection
        return [(first + begins[n], *row(keys[n], record, selection)) for n, record in decoded]


class ByCandidates:
    """Only records that hold a candidate are decoded, each by itself.

    Each gap between them is put between the container's brackets and must be a well-formed document by a
    fast validator, which also counts its records. Since every part parses, every cut was right
    (`etl.shape.layout`), so nothing is looked at twice.
    """

    def __init__(self, parser: RecordParser, records: Records, signature: re.Pattern[bytes]) -> None:
        self._parser = parser
        self._records = records
        self._signature = signature

    def parse(self, piece: Piece, candidates: list[int] | None, offset: int, base: int) -> Parsed | None:
        """Return what the piece holds."""
        if candidates is None:
            return None
        try:
            return self._parse(piece, candidates, offset)
        except (*UNFIT, NotJson):
            return None

    def _parse(self, piece: Piece, candidates: list[int], offset: int) -> Parsed:
        parsed = Parsed()
        work, end, signature = piece.work, piece.end, self._signature
        start_of_work = offset - 1
        position = 1
        for candidate in candidates:
            found = candidate + 1  # as an index into `work`
            if found < position:
                continue  # in a record that has been decoded
            start = last_boundary(signature, work, position, found) + 1
            if start > position:
                parsed.records += self._records.count(piece, position, start - 1)
            else:
                start = position
            following = signature.search(work, found, end)
            stop = end if following is None else following.start(1)
            self._take(work[start:stop], start_of_work + start, parsed)
            position = stop + 1
        if position < end or end == 1:
            parsed.records += self._records.count(piece, position, end)
        return parsed

    def _take(self, data: memoryview, offset: int, parsed: Parsed) -> None:
        """Decode one record that holds a candidate; `data` may turn out to be more than one."""
        key, begin = self._records.plain_key(data)
        self._parser.take(key, bytes(data[begin:]), data, offset, parsed)
