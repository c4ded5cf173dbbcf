"""One feed through the real reader, decompression and parsers, all in this process.

What the processes do at once is done in steps here: each of the workers, and the writer, takes its next one
when a seeded chance says so, so a case can be repeated exactly.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from etl.engine.channels import Lines
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Credit, Done, End, Opening, Oversize, Task, Word
from etl.engine.reader import Reader
from etl.errors import MalformedFeed
from etl.records.chunks import DENSE_BYTES, MOST_BYTES, PIECE_BYTES, ChunkParser
from etl.records.found import Reject
from etl.shape.layout import Container, Layout
from etl.slabs import Slabs
from etl.source.feed import MAGIC_BYTES, Counted, Feed, compression
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import staging
from tests.support.documents import WANTED

HEAD = 500
SELECTION = Tracked(frozenset(WANTED), HEAD)
PIECES = (PIECE_BYTES, 2000, 300)
"""In how large pieces chunks are looked at."""
WAYS = ((DENSE_BYTES, MOST_BYTES), (DENSE_BYTES, 0), (0, 0))
"""When they are decoded as a whole or told apart: as records are wanted; never as a whole; neither."""
NAMES = [column.name for column in staging.columns]


class Deadlock(Exception):
    """The reader waits, and nobody has anything left to do."""


@dataclass(frozen=True)
class Settings:
    """How a feed is read."""

    seed: int = 0
    chunk_bytes: int = 1 << 16
    slab_bytes: int = 1 << 16
    slabs: int = 6
    workers: int = 1
    salvage: bool = False
    refuse_nul: bool = False


DEFAULT = Settings()


@dataclass
class Found:
    """What was found in a feed that is sound."""

    container: Container = Container.LINES
    records: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    oversize: list[Oversize] = field(default_factory=list)


class Trickle:
    """A stream that gives less than it is asked for, as sockets and pipes do."""

    def __init__(self, data: bytes, chance: random.Random) -> None:
        self._data = memoryview(data)
        self._most = chance.choice((1, 7, 100, 1 << 20)) if len(data) < 1000 else 1 << 20
        self._chance = chance

    def read(self, size: int = -1, /) -> bytes:
        """Return some bytes; none at the end."""
        most = min(self._most, size) if size >= 0 else self._most
        data = bytes(self._data[: self._chance.randint(1, most) if most > 1 else most])
        self._data = self._data[len(data) :]
        return data


class _Worker:
    """A worker, as its line is to the reader: what it is sent waits until it takes a step."""

    def __init__(self, slabs: Slabs, settings: Settings, number: int, found: Found) -> None:
        self._slabs = slabs
        self._found = found
        pieces = PIECES[settings.seed % len(PIECES)]
        way = WAYS[(settings.seed // len(PIECES) + number) % len(WAYS)]
        self._parser = _parser(settings.salvage, settings.refuse_nul, *way, pieces)
        self.tasks = self
        self.waiting: deque[Task] = deque()
        self.results: deque[tuple[Chunk | Oversize, Any] | End] = deque()

    def put(self, task: Task) -> None:
        self.waiting.append(task)

    def step(self) -> None:
        task = self.waiting.popleft()
        if isinstance(task, Opening):
            self._parser.open(task.layout, task.base)
            self._found.container = task.layout.container
        elif isinstance(task, Chunk):
            data = self._slabs[task.slab][: task.length]
            self.results.append((task, self._parser.parse(data, task.offset, task.exact)))
        elif isinstance(task, Oversize):
            self.results.append((task, None))
        elif task is not None:
            self.results.append(task)


class _Crew:
    """The workers and the writer; to the reader, the channel of words."""

    def __init__(self, slabs: Slabs, settings: Settings) -> None:
        self._chance = random.Random(settings.seed)
        self.found = Found()
        self.workers = [_Worker(slabs, settings, number, self.found) for number in range(settings.workers)]
        self._words: deque[Word] = deque()
        self._turn = 0
        self._refusing = False
        self.ended = False

    def get(self) -> Word:
        while not self._words:
            if not self._step():
                raise Deadlock
        return self._words.popleft()

    def empty(self) -> bool:
        for _ in range(self._chance.choice((0, 1, 5))):
            self._step()
        return not self._words

    def _step(self) -> bool:
        """Let one of those who have something to do go on; say whether there was any."""
        turn = self.workers[self._turn]
        steps = [worker.step for worker in self.workers if worker.waiting]
        if turn.results:
            steps.append(lambda: self._write(turn))
        if steps:
            self._chance.choice(steps)()
        return bool(steps)

    def _write(self, worker: _Worker) -> None:
        """Do as `etl.engine.writer.Writer` does."""
        result = worker.results.popleft()
        if isinstance(result, End):
            self.ended = True
            self._words.append(Done())
            return
        task, parsed = result
        self._turn = task.following
        exact = isinstance(task, Oversize) or task.exact
        self._refusing = not exact and (self._refusing or parsed.malformed is not None)
        if not self._refusing:
            self._apply(task, parsed)
        self._words.append(Credit(task.slab, applied=not self._refusing, stop=False))

    def _apply(self, task: Chunk | Oversize, parsed: Any) -> None:
        if isinstance(task, Oversize):
            self.found.records += 1
            self.found.oversize.append(task)
            return
        if parsed.malformed is not None:
            raise MalformedFeed(
                f"not well-formed JSON at byte {parsed.malformed.offset:,}: {parsed.malformed.reason}"
            )
        self.found.records += parsed.records
        self.found.rows += parsed.rows
        self.found.rejects += parsed.rejects


@cache
def _parser(
    salvage: bool, refuse_nul: bool, dense_bytes: int, most_bytes: int, piece_bytes: int
) -> ChunkParser:
    """Return a parser that is used again and again, as its literals take time to compile."""
    return ChunkParser(
        PIPELINE, SELECTION, Layout(Container.LINES, (), 0, ()), salvage=salvage, refuse_nul=refuse_nul,
        dense_bytes=dense_bytes, most_bytes=most_bytes, piece_bytes=piece_bytes,
    )  # fmt: skip


@cache
def _slabs(count: int, size: int) -> Slabs:
    return Slabs(count, size)


def read(stream: bytes, settings: Settings = DEFAULT) -> Found:
    """Return what a feed holds.

    Raises:
        EtlError: it is not sound.
    """
    slabs = _slabs(settings.slabs, settings.slab_bytes)
    crew = _Crew(slabs, settings)
    chance = random.Random(settings.seed)
    raw = Trickle(stream[MAGIC_BYTES:], chance)
    head = stream[:MAGIC_BYTES]
    threads = 1 + settings.seed % 2
    feed = Feed(Counted(raw, head), compression(head), len(stream), threads=threads)
    workers: list[Any] = list(crew.workers)
    words: Any = crew
    lines = Lines(workers, len(workers))
    reader = Reader(slabs, lines, words, Figures(), settings.chunk_bytes, settings.salvage)
    reader.read(0, feed, PIPELINE, allow_empty=False)
    reader.finish()
    assert crew.ended
    return crew.found
