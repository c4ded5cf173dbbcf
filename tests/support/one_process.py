"""Reader and parser together, in this process: a feed is read without a fork, a queue or a database."""

from __future__ import annotations

import io
from collections import deque
from typing import Any

from etl.engine.channels import Lines
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Credit, Done, End, Opening, Oversize, Task, Word
from etl.engine.reader import Reader
from etl.errors import MalformedFeed
from etl.records.chunks import ChunkParser
from etl.records.found import Parsed
from etl.slabs import Slabs
from etl.source.feed import Counted, Feed, compression
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from tests.acceptance.feeds import HEAD, OURS

SELECTION = Tracked(frozenset(OURS), HEAD)
SLAB_BYTES = 1 << 16


class Line:
    """The workers and the writer as the reader sees them: what it sends is dealt with at once."""

    def __init__(self, slabs: Slabs) -> None:
        self._slabs = slabs
        self._refusing = False
        self.tasks = self
        self.words: deque[Word] = deque()
        self.found = Parsed()

    def put(self, task: Task) -> None:
        if isinstance(task, Opening):
            self._parser = ChunkParser(PIPELINE, SELECTION, task.layout, task.base)
        elif isinstance(task, Oversize):
            self.words.append(Credit(task.slab, applied=True, stop=False))
        elif isinstance(task, Chunk):
            found = self._parser.parse(self._slabs[task.slab][: task.length], task.offset, task.exact)
            self._refusing = not task.exact and (self._refusing or found.malformed is not None)
            if not self._refusing:
                if found.malformed is not None:
                    raise MalformedFeed(f"byte {found.malformed.offset}: {found.malformed.reason}")
                self.found.records += found.records
                self.found.rows += found.rows
                self.found.rejects += found.rejects
            self.words.append(Credit(task.slab, applied=not self._refusing, stop=False))
        elif isinstance(task, End):
            self.words.append(Done())

    def get(self) -> Word:
        return self.words.popleft()

    def empty(self) -> bool:
        return not self.words


def read(stream: bytes, chunk_bytes: int = SLAB_BYTES) -> Parsed:
    """What a feed holds; raises an `EtlError` if it is not sound."""
    slabs = Slabs(4, SLAB_BYTES)
    line: Any = Line(slabs)
    reader = Reader(slabs, Lines([line], 1), line, Figures(), chunk_bytes)
    feed = Feed(Counted(io.BytesIO(stream), b""), compression(stream[:4]), len(stream))
    reader.read(0, feed, PIPELINE, allow_empty=True)
    reader.finish()
    found: Parsed = line.found
    return found
