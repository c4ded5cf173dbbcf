"""From the bytes of a chunk to rows and rejects, every byte of it checked.

Where few records are wanted, the fast way cuts the chunk at those that hold a candidate. Each of them is
decoded, typed; each gap between them is put between the container's brackets and must be a well-formed
document by a fast validator, which also counts its records (`etl.records.counting`). Since every piece
parses, every cut was right (`etl.shape.layout`), so nothing is looked at twice.

Where more are, all records are told apart by the typed decoder, which leaves them as they are; those that
hold a candidate are decoded together. Where each begins follows from how long the others are, if nothing
but separators stands between them.

Where most are, the chunk is decoded as a whole, typed, and no two records with the same key may have become
one.

Whatever does not fit (a gap that the validator refuses, such as an integer over 64 bits; a record that
begins with an unknown member) sends the chunk the exact way, record by record (`etl.records.exact`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, repeat
from operator import add
from typing import Any

import msgspec

from etl.declare.match import Match
from etl.declare.pipeline import Pipeline, Selection
from etl.records.counting import VALIDATORS
from etl.records.exact import RecordParser, check_encoding
from etl.records.found import Parsed, Rows
from etl.records.prefilter import RawFilter
from etl.records.search import SEARCHES
from etl.shape.diagnosis import NotJson
from etl.shape.layout import Container, Layout, last_boundary
from etl.shape.patterns import SPACE, Buffer

DENSE_BYTES = 7000
"""With less than so many bytes for each candidate, all records of a chunk are sooner told apart: about a
fourteenth of records of 500 bytes, by measurement."""

MOST_BYTES = 900
"""With less than so many bytes for each candidate, a chunk is sooner decoded as a whole: about one half of
records of 500 bytes, by measurement."""

PIECE_BYTES = 1 << 18
"""How much of a chunk is looked at at a time: what the parsers make of it stays in the core's cache."""

_PLAIN_KEY = re.compile(SPACE + rb'"([^"\\\x00-\x1f]*+)"' + SPACE + rb":")


class _Irregular(Exception):
    """The fast way does not fit this chunk."""


class _Anything(msgspec.Struct):
    """An object whose members are all skipped, though checked."""


class ChunkParser:
    """Parses chunks of one feed for one selection; not shared between processes.

    `base` is added to offsets in the feed where they order the rows of several feeds. With `salvage`, a
    malformed record is a reject where the scanner can tell it from its neighbours; with `refuse_nul`, so
    is one with a NUL in its texts, which not every database can hold. `pack` is done to the rows of each
    piece of a chunk, while they are in the core's cache. With `raw`, a row is (position, key, the bytes of
    the record as in the feed, without white space around them), and the pipeline makes none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        selection: Selection,
        layout: Layout,
        base: int = 0,
        salvage: bool = False,
        refuse_nul: bool = False,
        pack: Callable[[list[tuple[Any, ...]]], Rows] | None = None,
        dense_bytes: int = DENSE_BYTES,
        most_bytes: int = MOST_BYTES,
        piece_bytes: int = PIECE_BYTES,
        validator: Callable[[], Any] | None = None,
        search: Any = SEARCHES[0],
        raw: bool = False,
    ) -> None:
        self._raw = raw
        self._pipeline = pipeline
        self._selection = selection
        self._salvage = salvage
        self._refuse_nul = refuse_nul
        self._pack = pack
        self._dense_bytes = dense_bytes
        self._most_bytes = most_bytes
        self._piece_bytes = piece_bytes
        self._records = RecordParser(pipeline, selection, refuse_nul, raw)
        self.open(layout, base)
        self._wanted = selection.wanted
        self._find = search.find
        self._filter = RawFilter(selection.wanted, search) if selection.wanted is not None else None
        self._decode_lines = msgspec.json.Decoder(pipeline.record).decode_lines
        self._decode_object = msgspec.json.Decoder(dict[str, pipeline.record]).decode  # type: ignore[name-defined]
        self._decode_array = msgspec.json.Decoder(list[pipeline.record]).decode  # type: ignore[name-defined]
        names = [field.encode_name for field in msgspec.structs.fields(pipeline.record) if field.required]
        self._name = RawFilter(names[:1], search) if names else None
        self._tested = Match(pipeline.record, pipeline.match).get
        self._count_values = (validator or VALIDATORS[0])().count
        self._lines = msgspec.json.Decoder(_Anything)
        self._raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._raw_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._raw_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines
        self._work = bytearray()

    def open(self, layout: Layout, base: int) -> None:
        """Go on with another feed, or with more known of this one's layout."""
        self._records.open(layout, base)
        self._base = base
        self._keyed = layout.container is Container.OBJECT
        self._lined = layout.container is Container.LINES
        self._opening, self._closing = layout.opening, layout.closing
        self._signature = layout.boundary()
        self._compact = True
        """There may be nothing between the records, and around their keys, that need not be there."""

    def parse(self, chunk: Buffer, offset: int, exact: bool = True) -> Parsed:
        """Return what `chunk`, which stands at `offset` in the document, holds.

        `exact` says that its cut is certain, if only the feed is well-formed.

        `malformed` is set, and nothing else to be used, where the chunk is not a sequence of well-formed
        records: because the feed is malformed, or because the chunk was cut wrong.
        """
        parsed = Parsed()
        with suppress(_Irregular):
            for start, stop in self._pieces(chunk):
                self._parse_piece(chunk[start:stop], offset + start, parsed)
                if self._pack is not None:
                    parsed.pack(self._pack)
            return parsed
        return self._one_by_one(chunk, offset, exact)

    def _pieces(self, chunk: Buffer) -> Iterator[tuple[int, int]]:
        """Yield where each piece of a chunk starts and stops, cut at boundaries as the chunk was."""
        start, window = 0, self._piece_bytes
        while start + window < len(chunk):
            cut = last_boundary(self._signature, chunk, start, start + window)
            if cut < 0:
                window *= 4
                continue
            yield start, cut
            start, window = cut + 1, self._piece_bytes
        yield start, len(chunk)

    def _parse_piece(self, piece: Buffer, offset: int, parsed: Parsed) -> None:
        end = len(piece) + 1
        if len(self._work) < end + 1:
            self._work = bytearray(2 * (end + 1))
        work = memoryview(self._work)[: end + 1]  # with a byte to spare on each side, for brackets
        work[1:end] = piece
        candidates = self._filter.candidates(work[1:end]) if self._filter is not None else None
        if candidates is None:
            return self._all(work, offset, parsed)
        if len(candidates) * self._dense_bytes > len(piece):
            if len(candidates) * self._most_bytes <= len(piece):
                with suppress(_Irregular):
                    return self._picked(work, candidates, offset, parsed)
            with suppress(_Irregular):
                return self._all(work, offset, parsed)
        self._fast(work, candidates, offset, parsed)

    def parse_apart(
        self, chunk: Buffer, offset: int, exact: bool, attempt: Callable[[int], bool]
    ) -> Parsed:
        """Do the same record by record; one of which `attempt` says no, by its number, is a reject."""
        return self._one_by_one(chunk, offset, exact, attempt)

    def _one_by_one(
        self, chunk: Buffer, offset: int, exact: bool, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        parsed = self._records.parse(bytes(chunk), offset, self._salvage and exact, attempt)
        if self._pack is not None:
            parsed.pack(self._pack)
        return parsed

    # As a whole ------------------------------------------------------------------------------------

    def _all(self, work: memoryview, offset: int, parsed: Parsed) -> None:
        return (self._whole_raw if self._raw else self._whole)(work, offset, parsed)

    def _whole_raw(self, work: memoryview, offset: int, parsed: Parsed) -> None:
        """Tell all records of `work[1:-1]` apart and decode them; of a position only the order is right."""
        self._refuse_any_nul(work)
        try:
            data = bytes(work[1:-1])
            check_encoding(data)
            keys, raws = self._told_apart(work, data)
            records = self._decode_array(b"[" + b",".join(raws) + b"]")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        if not self._lined and not self._is_all(len(raws), work):
            raise _Irregular
        base, wanted, tested = self._base + offset, self._wanted, self._tested
        found = enumerate(zip(keys, raws, records, strict=True), base)
        try:
            rows = [
                (position, key, bytes(raw))
                for position, (key, raw, record) in found
                if wanted is None or tested(record) in wanted
            ]
        except Exception:  # a mistake of the record type's
            raise _Irregular from None
        parsed.records += len(raws)
        parsed.rows += rows

    def _whole(self, work: memoryview, offset: int, parsed: Parsed) -> None:
        """Decode all records of `work[1:-1]` at once; of a row's position only the order is right."""
        self._refuse_any_nul(work)
        try:
            data = bytes(work[1:-1])
            check_encoding(data)
            found = self._decode_whole(work, data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        count = len(found)
        if not (_one_a_line(data, count) if self._lined else self._is_all(count, work)):
            raise _Irregular
        items: Iterable[tuple[int, tuple[str | None, Any]]] = enumerate(found, self._base + offset)
        if (wanted := self._wanted) is not None:
            tested = self._tested
            items = (item for item in items if tested(item[1][1]) in wanted)
        row, selection = self._pipeline.row, self._selection
        try:
            rows = [(position, *row(key, record, selection)) for position, (key, record) in items]
        except Exception:  # a reject, whose place must be told, or a mistake of the pipeline's
            raise _Irregular from None
        parsed.records += count
        parsed.rows += rows

    def _decode_whole(self, work: memoryview, data: bytes) -> Collection[tuple[str | None, Any]]:
        """Return the keys and records of `work[1:-1]`, which is `data`."""
        if self._lined:
            return [(None, record) for record in self._decode_lines(data)]
        document = self._bracketed(work, 1, len(work) - 1)
        if self._keyed:
            items: Collection[tuple[str | None, Any]] = self._decode_object(document).items()
            return items
        return [(None, record) for record in self._decode_array(document)]

    def _is_all(self, count: int, work: memoryview) -> bool:
        """Say whether so many records are all that `work[1:-1]` holds: none gave way to another of its key.

        Each has every member that must be there, so there are no more of them than of such a member's name.
        """
        if count and self._keyed and self._name is not None and self._name.most(work) == count:
            return True
        return self._count(work, 1, len(work) - 1) == count

    # Those that hold a candidate ---------------------------------------------------------------------

    def _picked(self, work: memoryview, candidates: list[int], offset: int, parsed: Parsed) -> None:
        """Tell all records of `work[1:-1]` apart, and decode those that hold a candidate."""
        if not self._compact:
            raise _Irregular
        self._refuse_any_nul(work)
        try:
            data = bytes(work[1:-1])
            check_encoding(data)
            keys, raws = self._told_apart(work, data)
            ends = self._ends(keys, raws)
            # Blanks, escapes in a key, or a record that gave way to another one with the same key, would
            # all make it longer.
            if not ends or ends[-1] - 1 != len(work) - 2:
                self._compact = False
                raise _Irregular
            numbers = dict.fromkeys(bisect_left(ends, candidate) for candidate in candidates)
            records = self._decode_array(b"[" + b",".join([raws[number] for number in numbers]) + b"]")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        wanted, tested, row, selection = self._wanted, self._tested, self._pipeline.row, self._selection
        assert wanted is not None
        base = self._base + offset
        try:
            rows: list[tuple[Any, ...]] = [
                (base + (ends[number - 1] if number else 0), keys[number], bytes(raws[number]))
                if self._raw
                else (base + (ends[number - 1] if number else 0), *row(keys[number], record, selection))
                for number, record in zip(numbers, records, strict=True)
                if tested(record) in wanted
            ]
        except Exception:  # a reject, or a mistake of the pipeline's
            raise _Irregular from None
        parsed.records += len(raws)
        parsed.rows += rows

    def _told_apart(self, work: memoryview, data: bytes) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and the bytes of all records of `work[1:-1]`, which is `data`."""
        if self._keyed:
            found = self._raw_object(self._bracketed(work, 1, len(work) - 1))
            return list(found), list(found.values())
        if self._lined:
            raws = self._raw_lines(data)
            if not _one_a_line(data, len(raws)):
                raise _Irregular
        else:
            raws = self._raw_array(self._bracketed(work, 1, len(work) - 1))
        return [None] * len(raws), raws

    def _ends(self, keys: Sequence[str | None], raws: list[msgspec.Raw]) -> list[int]:
        """Return where each record and its separator would end, if there was nothing else between them."""
        lengths = map(add, map(len, raws), repeat(4 if self._keyed else 1))  # `"":,` or a separator
        if self._keyed:
            lengths = map(add, lengths, map(len, keys))  # type: ignore[arg-type]
        return list(accumulate(lengths))

    def _refuse_any_nul(self, work: memoryview) -> None:
        if self._refuse_nul and self._find(work, b"\\u0000") >= 0:  # it may be in a text that matters
            raise _Irregular

    # By candidates ---------------------------------------------------------------------------------

    def _fast(self, work: memoryview, candidates: list[int], offset: int, parsed: Parsed) -> None:
        """Parse `work[1:-1]` by candidates and the gaps between them."""
        end = len(work) - 1
        base = offset - 1  # from an index into the copy to an offset in the document
        position = 1
        for found in candidates:
            candidate = found + 1  # as an index into the copy
            if candidate < position:
                continue  # in a record that has been decoded
            start = last_boundary(self._signature, work, position, candidate) + 1
            if start > position:
                parsed.records += self._count(work, position, start - 1)
            else:
                start = position
            following = self._signature.search(work, candidate, end)
            stop = end if following is None else following.start(1)
            self._take_regular(work[start:stop], base + start, parsed)
            position = stop + 1
        if position < end or end == 1:
            parsed.records += self._count(work, position, end)

    def _count(self, work: memoryview, start: int, stop: int) -> int:
        """Check that `work[start:stop]` is a sequence of records, and count them."""
        if self._lined:
            return self._count_lines(work, start, stop)
        try:
            count: int = self._count_values(self._bracketed(work, start, stop))
        except ValueError:  # malformed, or beyond what the parser can represent
            raise _Irregular from None
        if count == 0:
            raise _Irregular  # nothing between two separators
        return count

    def _bracketed(self, work: memoryview, start: int, stop: int) -> memoryview:
        """Return `work[start:stop]` between the container's brackets, which take the places beside it."""
        work[start - 1 : start] = self._opening
        work[stop : stop + 1] = self._closing
        return work[start - 1 : stop + 1]

    def _count_lines(self, work: memoryview, start: int, stop: int) -> int:
        lines = bytes(work[start:stop])
        try:
            check_encoding(lines)
            count = len(self._lines.decode_lines(lines))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        if not _one_a_line(lines, count):
            raise _Irregular
        return count

    def _take_regular(self, data: memoryview, offset: int, parsed: Parsed) -> None:
        """Decode one record that holds a candidate; `data` may turn out to be more than one."""
        key, value, match = None, data, None
        if self._keyed:
            match = _PLAIN_KEY.match(data)
            if match is None:
                raise _Irregular
            value = data[match.end() :]
        try:
            if match is not None:
                key = str(match[1], "utf-8")
            self._records.take(key, bytes(value), data, offset, parsed)
        except (NotJson, UnicodeDecodeError, RecursionError):
            raise _Irregular from None


def _one_a_line(lines: bytes, count: int) -> bool:
    """Say whether so many objects stand on a line each, and no line is blank.

    To the decoder a newline is a blank like others, inside a value and between two of them. One between
    these stands between two values, and nowhere else does this occur.
    """
    occurrences = SEARCHES[0].count
    between = occurrences(lines, b"}\n{") + occurrences(lines, b"}\r\n{")
    return bool(between == occurrences(lines, b"\n") == count - 1)
