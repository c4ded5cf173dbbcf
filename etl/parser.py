"""From the bytes of a chunk to rows and rejects, every byte of it checked.

Where few records are wanted, the fast way cuts the chunk at those that hold a candidate. Each of them is
decoded, typed; each gap between them is put between the container's brackets and must be a well-formed
document by a SIMD parser, which also counts its records. Since every piece parses, every cut was right
(`etl.framing`), so nothing is looked at twice.

Where more are, all records are told apart by the typed decoder, which leaves them as they are; those that
hold a candidate are decoded together. Where each begins follows from how long the others are, if nothing
but separators stands between them.

Where most are, the chunk is decoded as a whole, typed, and no two records with the same key may have become
one.

Whatever does not fit (a gap that the SIMD parser refuses, such as an integer over 64 bits; a record that
begins with an unknown member) sends the chunk the exact way: the scanner splits it, each record is
decoded by itself, and where the typed decoder refuses, Python's own JSON parser says whether the record
is malformed, with the place, or well-formed and only not what the pipeline takes.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from operator import add
from typing import Any

import msgspec
import simdjson
from stringzilla import count as occurrences
from stringzilla import find

from etl.framing import BLANK, SPACE, STRING, Buffer, Container, Layout, Scanner, last_boundary
from etl.messages import RAW_BYTES, Malformed, Reject, Rows
from etl.pipeline import Pipeline, Selection
from etl.predicate import RawFilter, member, undecoded_member
from etl.strict import NotJson, refuse_member, strictly

DENSE_BYTES = 7000
"""With less than so many bytes for each candidate, all records of a chunk are sooner told apart: about a
fourteenth of records of 500 bytes, by measurement."""

MOST_BYTES = 900
"""With less than so many bytes for each candidate, a chunk is sooner decoded as a whole: about one half of
records of 500 bytes, by measurement."""

PIECE_BYTES = 1 << 18
"""How much of a chunk is looked at at a time: what the parsers make of it stays in the core's cache."""

_PLAIN_KEY = re.compile(SPACE + rb'"([^"\\\x00-\x1f]*+)"' + SPACE + rb":")
_KEY = re.compile(SPACE + rb"(" + STRING + rb")" + SPACE + rb":", re.DOTALL)


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


class _Irregular(Exception):
    """The fast way does not fit this chunk."""


class _Anything(msgspec.Struct):
    """An object whose members are all skipped, though checked."""


class ChunkParser:
    """Parses chunks of one feed for one selection; not shared between processes.

    `base` is added to offsets in the feed where they order the rows of several feeds. With `salvage`, a
    malformed record is a reject where the scanner can tell it from its neighbours; with `refuse_nul`, so
    is one with a NUL in its texts, which not every database can hold. `pack` is done to the rows of each
    piece of a chunk, while they are in the core's cache.
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
    ) -> None:
        self._pipeline = pipeline
        self._selection = selection
        self._salvage = salvage
        self._refuse_nul = refuse_nul
        self._pack = pack
        self._dense_bytes = dense_bytes
        self._most_bytes = most_bytes
        self._piece_bytes = piece_bytes
        self.open(layout, base)
        self._wanted = selection.wanted
        self._filter = RawFilter(selection.wanted) if selection.wanted is not None else None
        self._decoder = msgspec.json.Decoder(pipeline.record)
        self._decode = self._decoder.decode
        self._decode_object = msgspec.json.Decoder(dict[str, pipeline.record]).decode  # type: ignore[name-defined]
        self._decode_array = msgspec.json.Decoder(list[pipeline.record]).decode  # type: ignore[name-defined]
        names = [field.encode_name for field in msgspec.structs.fields(pipeline.record) if field.required]
        self._name = RawFilter(names[:1]) if names else None
        self._tested = member(pipeline.record, pipeline.match)
        self._simd = simdjson.Parser()
        self._lines = msgspec.json.Decoder(_Anything)
        self._raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._raw_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._raw_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines
        self._work = bytearray()

    def open(self, layout: Layout, base: int) -> None:
        """Go on with another feed, or with more known of this one's layout."""
        self._layout = layout
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
        return self._exact(bytes(chunk), offset, self._salvage and exact)

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
            return self._whole(work, offset, parsed)
        if len(candidates) * self._dense_bytes > len(piece):
            if len(candidates) * self._most_bytes <= len(piece):
                with suppress(_Irregular):
                    return self._picked(work, candidates, offset, parsed)
            with suppress(_Irregular):
                return self._whole(work, offset, parsed)
        self._fast(work, candidates, offset, parsed)

    def parse_apart(
        self, chunk: Buffer, offset: int, exact: bool, attempt: Callable[[int], bool]
    ) -> Parsed:
        """Do the same record by record; one of which `attempt` says no, by its number, is a reject."""
        return self._exact(bytes(chunk), offset, self._salvage and exact, attempt)

    # As a whole ------------------------------------------------------------------------------------

    def _whole(self, work: memoryview, offset: int, parsed: Parsed) -> None:
        """Decode all records of `work[1:-1]` at once; of a row's position only the order is right."""
        self._refuse_any_nul(work)
        try:
            _check_encoding(bytes(work[1:-1]))
            found = self._decode_whole(work)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        count = len(found)
        if not self._is_all(count, work):
            raise _Irregular
        items: Iterable[tuple[int, tuple[str | None, Any]]] = enumerate(found, self._base + offset)
        if (wanted := self._wanted) is not None:
            tested = self._tested
            items = (item for item in items if tested(item[1][1]) in wanted)
        row, selection = self._pipeline.row, self._selection
        try:
            rows = [(position, *row(key, record, selection)) for position, (key, record) in items]
        except ValueError:  # a reject, whose place must be told
            raise _Irregular from None
        parsed.records += count
        parsed.rows += rows

    def _decode_whole(self, work: memoryview) -> Collection[tuple[str | None, Any]]:
        """Return the keys and records of `work[1:-1]`."""
        if self._lined:
            return [(None, record) for record in self._decoder.decode_lines(bytes(work[1:-1]))]
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
            _check_encoding(bytes(work[1:-1]))
            keys, raws = self._told_apart(work)
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
            rows = [
                (base + (ends[number - 1] if number else 0), *row(keys[number], record, selection))
                for number, record in zip(numbers, records, strict=True)
                if tested(record) in wanted
            ]
        except ValueError:  # a reject
            raise _Irregular from None
        parsed.records += len(raws)
        parsed.rows += rows

    def _told_apart(self, work: memoryview) -> tuple[Sequence[str | None], list[msgspec.Raw]]:
        """Return the keys and the bytes of all records."""
        if self._keyed:
            found = self._raw_object(self._bracketed(work, 1, len(work) - 1))
            return list(found), list(found.values())
        if self._lined:
            raws = self._raw_lines(bytes(work[1:-1]))
            # A newline is a blank like others to it, inside a value and between two of them.
            if not occurrences(work, b"}\n{") == occurrences(work, b"\n") == len(raws) - 1:
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
        if self._refuse_nul and find(work, b"\\u0000") >= 0:  # it may be in a text that matters
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
            count = len(self._simd.parse(self._bracketed(work, start, stop)))  # type: ignore[arg-type]
        except (ValueError, RuntimeError):  # malformed, or beyond what the parser can represent
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
            _check_encoding(lines)
            count = len(self._lines.decode_lines(lines))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Irregular from None
        newlines = lines.count(b"\n")
        # A newline between these stands between two values: so no line is blank, and no value goes on.
        if lines.count(b"}\n{") + lines.count(b"}\r\n{") != newlines or count != newlines + 1:
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
            self._take(key, bytes(value), data, offset, parsed)
        except (NotJson, UnicodeDecodeError, RecursionError):
            raise _Irregular from None

    # The exact way ---------------------------------------------------------------------------------

    def _exact(
        self, chunk: bytes, offset: int, salvage: bool, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        parsed = Parsed()
        for number, (start, stop) in enumerate(self._split(chunk)):
            data = chunk[start:stop]
            if attempt is not None and not attempt(number):
                parsed.records += 1
                self._reject(None, data, offset + start, "its worker process was killed by it", parsed)
                continue
            try:
                self._take_exactly(data, offset + start, parsed)
            except NotJson as error:
                if not salvage:
                    parsed.malformed = Malformed(error.offset, error.reason)
                    return parsed
                parsed.records += 1
                reason = f"malformed at byte {error.offset:,}: {error.reason}"
                self._reject(None, data, offset + start, reason, parsed)
        if self._pack is not None:
            parsed.pack(self._pack)
        return parsed

    def _split(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each record of a chunk starts and stops."""
        if self._layout.container is Container.LINES:
            start = 0
            for line in chunk.split(b"\n"):
                if line.strip(BLANK):
                    yield start, start + len(line)
                start += len(line) + 1
            return
        scanner = Scanner()
        scanner.feed(chunk)
        separators = scanner.separators
        yield from zip([0, *(s + 1 for s in separators)], [*separators, len(chunk)], strict=True)

    def _take_exactly(self, data: bytes, offset: int, parsed: Parsed) -> None:
        key, begin = None, 0
        if self._keyed:
            match = _KEY.match(data)
            if match is None:
                refuse_member(data, offset)
            key = strictly(match[1], offset + match.start(1))
            begin = match.end()
        try:
            self._take(key, data[begin:], data, offset, parsed)
        except NotJson as error:
            raise NotJson(offset + begin + error.offset, error.reason) from None
        except RecursionError:
            from etl.document import check_deep  # which few runs need

            check_deep(data[begin:], offset + begin)
            parsed.records += 1
            self._reject(key, data, offset, "nested too deeply", parsed)

    # One record ------------------------------------------------------------------------------------

    def _take(self, key: str | None, value: bytes, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Decode one record exactly, and keep or reject it if it is wanted.

        `value` is the record, `data` the same with its key, at `offset` in the document.

        Raises:
            NotJson: `value` is not one well-formed JSON value.
            RecursionError: it is nested too deeply to tell.
        """
        try:
            record = self._decode(value)
            _check_encoding(value)
        except msgspec.ValidationError as error:
            self._judge(key, value, data, offset, str(error), parsed)
            return
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._judge(key, value, data, offset, "a lone surrogate, which is no text", parsed)
            return
        self._keep(key, record, data, offset, parsed)

    def _keep(self, key: str | None, record: Any, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Count a decoded record, and take its row if it is wanted."""
        parsed.records += 1
        if self._wanted is not None and self._tested(record) not in self._wanted:
            return
        try:
            row = self._pipeline.row(key, record, self._selection)
        except ValueError as error:
            self._reject(key, data, offset, str(error), parsed)
            return
        # A NUL has but one spelling, and few records have it anywhere.
        if self._refuse_nul and b"\\u0000" in bytes(data) and any(map(_has_nul, row)):
            self._reject(key, data, offset, "a NUL, which PostgreSQL's text cannot hold", parsed)
            return
        parsed.rows.append((self._base + offset, *row))

    def _judge(
        self, key: str | None, value: bytes, data: Buffer, offset: int, reason: str, parsed: Parsed
    ) -> None:
        """Take a record that the typed decoder refused: malformed, unwanted, or a reject."""
        generic = strictly(value, 0)
        tested = undecoded_member(generic, self._pipeline.match)
        if self._wanted is not None and not (isinstance(tested, str) and tested in self._wanted):
            parsed.records += 1
            return
        try:
            # Of members with the same name the last one holds; the typed decoder stops at the first
            # that is wrong, so only now is it certain.
            json.dumps(generic, ensure_ascii=False).encode()  # refuses lone surrogates
            record = msgspec.convert(generic, self._pipeline.record)
        except (msgspec.ValidationError, UnicodeEncodeError):
            parsed.records += 1
            self._reject(key, data, offset, reason, parsed)
        else:
            self._keep(key, record, data, offset, parsed)

    def _reject(self, key: str | None, data: Buffer, offset: int, reason: str, parsed: Parsed) -> None:
        if key is not None:  # a lone surrogate is no text, and a NUL not everywhere
            key = key[:RAW_BYTES].encode(errors="backslashreplace").decode().replace("\0", "\\x00")
        parsed.rejects.append(Reject(offset, key, reason, bytes(data[:RAW_BYTES])))


def _has_nul(value: object) -> bool:
    return isinstance(value, str) and "\0" in value


def _check_encoding(data: bytes) -> None:
    """Raise UnicodeDecodeError if not UTF-8: the typed decoder does not look at what it skips."""
    if not data.isascii():
        data.decode()
