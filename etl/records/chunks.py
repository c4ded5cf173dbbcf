"""From the bytes of a chunk to rows and rejects, every byte of it checked.

Each piece of a chunk is parsed by the strategy that is the fastest for how many of its records may be
wanted (`etl.records.strategies`). Where a piece does not fit it, the next one is tried, and in the end the
whole chunk is parsed record by record (`etl.records.exact`), which is slow and always right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from etl.records.containers import CONTAINERS, Piece
from etl.records.counting import VALIDATORS
from etl.records.exact import RecordParser
from etl.records.found import Parsed, Rows, too_long
from etl.records.prefilter import RawFilter
from etl.records.search import SEARCHES
from etl.records.strategies import ByCandidates, Strategy, ToldApart, Whole
from etl.records.wanted import Wanted
from etl.shape.cuts import Cut
from etl.shape.layout import Layout, last_boundary
from etl.shape.patterns import Buffer


@dataclass(frozen=True)
class Thresholds:
    """Which strategy is the fastest where, by measurement with records of 500 bytes."""

    dense_bytes: int = 7000
    """With less than so many bytes for each candidate, all records are sooner told apart: about a
    fourteenth may be wanted."""
    most_bytes: int = 900
    """With less than so many bytes for each candidate, a piece is sooner decoded as a whole: about one half
    may be wanted."""
    piece_bytes: int = 1 << 18
    """How much of a chunk is parsed at a time: what the parsers make of it stays in the core's cache."""


@dataclass(frozen=True)
class Tools:
    """What validates and searches: the fastest that is installed."""

    validator: Callable[[], Any] = VALIDATORS[0]
    search: Any = SEARCHES[0]


@dataclass(frozen=True)
class Handling:
    """What is done with records that cannot be used, and with rows."""

    salvage: bool = False
    """A malformed record is a reject where the scanner can tell it from its neighbours."""
    refuse_nul: bool = False
    """So is one with a NUL in its texts, which not every database can hold."""
    pack: Callable[[list[tuple[Any, ...]]], Rows] | None = None
    """Done to the rows of each piece of a chunk, while they are in the core's cache."""


USUAL = Handling()
_THRESHOLDS = Thresholds()
_TOOLS = Tools()


class ChunkParser:
    """Parses chunks of one feed after the other; not shared between processes.

    `base` is added to offsets in the feed where they order the rows of several feeds.
    """

    def __init__(
        self,
        wanted: Wanted,
        layout: Layout,
        base: int = 0,
        handling: Handling = USUAL,
        thresholds: Thresholds = _THRESHOLDS,
        tools: Tools = _TOOLS,
    ) -> None:
        self._wanted = wanted
        self._handling = handling
        self._thresholds = thresholds
        self._tools = tools
        self._filter = RawFilter(wanted.values, tools.search) if wanted.values is not None else None
        self._validator = tools.validator()
        self._work = bytearray()
        self.open(layout, base)

    def open(self, layout: Layout, base: int) -> None:
        """Go on with another feed, or with more known of this one's layout."""
        wanted = self._wanted
        self._base = base
        self._signature = layout.boundary()
        records = CONTAINERS[layout.container](wanted, self._validator.count, self._tools.search)
        self._container = layout.container
        self._exactly = RecordParser(wanted, records, base, self._handling.refuse_nul)
        told_apart = ToldApart(wanted, records)
        # Of what is decoded as a whole, nobody knows where the bytes of each record are.
        self._all: Strategy = told_apart if wanted.raw else Whole(wanted, records)
        self._some: Strategy = told_apart
        self._few: Strategy = ByCandidates(self._exactly, records, self._signature)

    def parse_cut(
        self, buffer: memoryview, cut: Cut, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        """Return what was cut holds, which is at the beginning of a buffer.

        With `attempt` it is parsed record by record; one of which that says no, by its number, is a reject.
        """
        data = buffer[: cut.length]
        if cut.size is not None:
            return too_long(cut.offset, cut.size, bytes(data))
        if attempt is not None:
            return self._one_by_one(data, cut.offset, cut.exact, attempt)
        return self.parse(data, cut.offset, cut.exact)

    def parse(self, chunk: Buffer, offset: int, exact: bool = True) -> Parsed:
        """Return what `chunk`, which stands at `offset` in the document, holds.

        `exact` says that its cut is certain, if only the feed is well-formed.

        `malformed` is set, and nothing else to be used, where the chunk is not a sequence of well-formed
        records: because the feed is malformed, or because the chunk was cut wrong.
        """
        parsed = Parsed()
        for start, stop in self._pieces(chunk):
            found = self._parse_piece(chunk[start:stop], offset + start)
            if found is None:
                return self._one_by_one(chunk, offset, exact)
            parsed.add(found, self._handling.pack)
        return parsed

    def _pieces(self, chunk: Buffer) -> Iterator[tuple[int, int]]:
        """Yield where each piece of a chunk starts and stops, cut at boundaries as the chunk was."""
        start, window = 0, self._thresholds.piece_bytes
        while start + window < len(chunk):
            cut = last_boundary(self._signature, chunk, start, start + window)
            if cut < 0:
                window *= 4
                continue
            yield start, cut
            start, window = cut + 1, self._thresholds.piece_bytes
        yield start, len(chunk)

    def _parse_piece(self, data: Buffer, offset: int) -> Parsed | None:
        """Return what a piece holds; None if no fast strategy fits it."""
        end = len(data) + 1
        if len(self._work) < end + 1:
            self._work = bytearray(2 * (end + 1))
        work = memoryview(self._work)[: end + 1]  # with a byte to spare on each side, for brackets
        work[1:end] = data
        piece = Piece(work, self._container)
        candidates = self._filter.candidates(work[1:end]) if self._filter is not None else None
        for strategy in self._strategies(piece, candidates):
            found = strategy.parse(piece, candidates, offset, self._base)
            if found is not None:
                return found
        return None

    def _strategies(self, piece: Piece, candidates: list[int] | None) -> list[Strategy]:
        """Return the strategies to try, the best first."""
        thresholds = self._thresholds
        if candidates is None:
            found = [self._all]
        elif len(candidates) * thresholds.dense_bytes <= piece.size:
            return [self._few]
        elif len(candidates) * thresholds.most_bytes <= piece.size:
            found = [self._some, self._all, self._few]
        else:
            found = [self._all, self._few]
        if self._handling.refuse_nul and self._tools.search.find(piece.work, b"\\u0000") >= 0:
            # It may be in a text that a row holds, so each record has to be tested.
            return [] if candidates is None else [self._few]
        return found

    def _one_by_one(
        self, chunk: Buffer, offset: int, exact: bool, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        found = self._exactly.parse(bytes(chunk), offset, self._handling.salvage and exact, attempt)
        parsed = Parsed(malformed=found.malformed)
        parsed.add(found, self._handling.pack)
        return parsed
