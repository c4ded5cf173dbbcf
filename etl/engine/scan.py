"""The path of the data from a stream to rows, in one process and without a queue.

Everything that makes a result right is here, by way of `etl.shape` and `etl.records`: where the records
are, how they are cut and how that is proved, the repair of a wrong cut, what is wanted, and that every byte
is well-formed to the last. Engines only decide where its parts run (`etl.engine.supervisor`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from etl.engine.plan import CHUNK_BYTES, RECORD_BYTES
from etl.errors import MalformedFeed
from etl.records.chunks import USUAL, ChunkParser, Handling
from etl.records.found import Batch
from etl.records.wanted import Wanted
from etl.shape.cuts import Halt
from etl.shape.cutter import Cutter
from etl.slabs import Slabs
from etl.source.feed import Feed


def scan(
    feed: Feed,
    wanted: Wanted,
    *,
    base: int = 0,
    handling: Handling = USUAL,
    chunk_bytes: int = CHUNK_BYTES,
    record_bytes: int = RECORD_BYTES,
    progress: Callable[[int], None] = lambda _: None,
) -> Scan:
    """Return what iterates over batches of the records that are wanted, in the feed's order.

    The layout is found at once, everything else as it is iterated over, in the memory of one record at its
    longest (`record_bytes`) and what is made of a chunk. `base` is added to offsets in the feed where they
    order the rows of several feeds. `progress` is called with the decoded offset that was come to.

    Only after the last batch is the feed proved complete and well-formed; what was found before that is
    right, but may be a part of what a damaged feed held.

    Raises:
        EmptyFeed: the document is sound and holds no records.
        DataError: here or later: truncated, malformed (with the byte's offset), or an error reply.
        SourceUnavailable: here or later: the source fails.
        PipelineFailed: later: the code of the pipeline has a mistake.
    """
    cutter = Cutter(feed, wanted.signs, chunk_bytes, handling.salvage, progress)
    parser = ChunkParser(wanted, cutter.layout, base, handling)
    return Scan(cutter, parser, base, record_bytes, progress)


class Scan:
    """A scan under way: an iterator of batches."""

    def __init__(
        self,
        cutter: Cutter,
        parser: ChunkParser,
        base: int,
        record_bytes: int,
        progress: Callable[[int], None],
    ) -> None:
        self._cutter = cutter
        self._parser = parser
        self._base = base
        self._buffer = Slabs(1, record_bytes)[0]
        self._progress = progress

    @property
    def opening(self) -> bytes:
        """The first bytes of the first records."""
        return self._cutter.opening

    @property
    def offset(self) -> int:
        """How much of the decoded document was dealt with, in bytes."""
        return self._cutter.offset

    def __iter__(self) -> Iterator[Batch]:
        layout = self._cutter.layout
        while not isinstance(cut := self._cutter.cut(self._buffer, proved=True), Halt):
            self._progress(self._cutter.offset)
            if self._cutter.layout is not layout:
                layout = self._cutter.layout
                self._parser.open(layout, self._base)
            batch = self._parser.parse_cut(self._buffer, cut).batch()
            if batch.malformed is None:
                yield batch
            elif cut.exact:
                raise MalformedFeed(str(batch.malformed))
            else:
                self._cutter.take_back(cut, bytes(self._buffer[: cut.consumed]))
        self._progress(self._cutter.offset)
