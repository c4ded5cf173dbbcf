"""One feed through the real reader, decompression and parsers, all in this process.

What the processes do at once is done in steps here: each of the workers, and the writer, takes its next one
when a seeded chance says so, so a case can be repeated exactly.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from etl.engine.channels import Workers
from etl.engine.figures import Figures
from etl.engine.messages import Answer, Chunk, Credit, Done, End, Opening, ToReader, ToWorker
from etl.engine.reader import Reader
from etl.errors import MalformedFeed
from etl.records.chunks import ChunkParser, Handling, Thresholds
from etl.records.found import Reject
from etl.records.wanted import Wanted
from etl.shape.cuts import Cut
from etl.shape.layout import Container, Layout
from etl.slabs import Slabs
from etl.source.feed import MAGIC_BYTES, Counted, Feed, compression
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import staging
from tests.support.documents import WANTED

HEAD = 500
ASKED = Wanted(PIPELINE, Tracked(frozenset(WANTED), HEAD))
USUAL = Thresholds()
PIECES = (USUAL.piece_bytes, 2000, 300)
"""In how large pieces chunks are looked at."""
WAYS = ((USUAL.dense_bytes, USUAL.most_bytes), (USUAL.dense_bytes, 0), (0, 0))
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


class TooLong(NamedTuple):
    """A record that is longer than a slab."""

    offset: int
    size: int


@dataclass
class Found:
    """What was found in a feed that is sound."""

    container: Container = Container.LINES
    records: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    oversize: list[TooLong] = field(default_factory=list)


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
    """A worker, as its queues are to the reader: what it is sent waits until it takes a step."""

    def __init__(self, slabs: Slabs, settings: Settings, number: int, found: Found) -> None:
        self._slabs = slabs
        self._found = found
        pieces = PIECES[settings.seed % len(PIECES)]
        way = WAYS[(settings.seed // len(PIECES) + number) % len(WAYS)]
        self._parser = _parser(Handling(settings.salvage, settings.refuse_nul), Thresholds(*way, pieces))
        self.tasks = self
        self.waiting: deque[ToWorker] = deque()
        self.results: deque[tuple[Cut, Answer] | End] = deque()

    def put(self, task: ToWorker) -> None:
        self.waiting.append(task)

    def step(self) -> None:
        task = self.waiting.popleft()
        if isinstance(task, Opening):
            self._parser.open(task.layout, task.base)
            self._found.container = task.layout.container
        elif isinstance(task, Chunk):
            batch = self._parser.parse_cut(self._slabs[task.slab], task.cut).batch()
            self.results.append((task.cut, Answer(0, task.slab, task.cut.exact, task.next_worker, batch)))
        elif task is not None:
            self.results.append(task)


class _Crew:
    """The workers and the writer; to the reader, the channel of messages."""

    def __init__(self, slabs: Slabs, settings: Settings) -> None:
        self._chance = random.Random(settings.seed)
        self.found = Found()
        self.workers = [_Worker(slabs, settings, number, self.found) for number in range(settings.workers)]
        self._messages: deque[ToReader] = deque()
        self._next = 0
        self._refusing = False
        self.ended = False

    def get(self) -> ToReader:
        while not self._messages:
            if not self._step():
                raise Deadlock
        return self._messages.popleft()

    def empty(self) -> bool:
        for _ in range(self._chance.choice((0, 1, 5))):
            self._step()
        return not self._messages

    def _step(self) -> bool:
        """Let one of those who have something to do go on; say whether there was any."""
        worker = self.workers[self._next]
        steps = [each.step for each in self.workers if each.waiting]
        if worker.results:
            steps.append(lambda: self._write(worker))
        if steps:
            self._chance.choice(steps)()
        return bool(steps)

    def _write(self, worker: _Worker) -> None:
        """Do as `etl.engine.answers` does."""
        result = worker.results.popleft()
        if isinstance(result, End):
            self.ended = True
            self._messages.append(Done())
            return
        cut, answer = result
        self._next = answer.next_worker
        self._refusing = not answer.exact and (self._refusing or answer.batch.malformed is not None)
        if not self._refusing:
            self._apply(cut, answer)
        self._messages.append(Credit(applied=not self._refusing, stop=False))

    def _apply(self, cut: Cut, answer: Answer) -> None:
        batch = answer.batch
        if batch.malformed is not None:
            raise MalformedFeed(str(batch.malformed))
        self.found.records += batch.records
        if cut.size is not None:
            self.found.oversize.append(TooLong(cut.offset, cut.size))
            return
        self.found.rows += [row for part in batch.parts for row in part if not isinstance(row, int)]
        self.found.rejects += batch.rejects


@cache
def _parser(handling: Handling, thresholds: Thresholds) -> ChunkParser:
    """Return a parser that is used again and again, as its literals take time to compile."""
    return ChunkParser(ASKED, Layout(Container.LINES, (), 0, ()), 0, handling, thresholds)


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
    queues: list[Any] = list(crew.workers)
    messages: Any = crew
    workers = Workers(queues, len(queues))
    reader = Reader(slabs, workers, messages, Figures(), settings.chunk_bytes, settings.salvage)
    reader.read(0, feed, ASKED, allow_empty=False)
    reader.finish()
    assert crew.ended
    return crew.found
