"""Which worker has which chunk."""

from __future__ import annotations

import io
from typing import Any

from etl.engine.channels import Lines
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Task
from etl.engine.reader import CROWDED_CHUNKS, Reader
from etl.slabs import Slabs
from etl.source.feed import Counted, Feed
from pipelines.deals.pipeline import PIPELINE
from tests.acceptance.feeds import as_object, deal
from tests.support.one_process import SLAB_BYTES, Line

DOCUMENT = as_object([(str(number), deal()) for number in range(3 * CROWDED_CHUNKS)])


class Shared(Line):
    """One of several workers, who share a channel of words; notes which chunks it is sent."""

    def __init__(self, slabs: Slabs, first: Shared | None = None) -> None:
        super().__init__(slabs)
        self.chunks: list[int] = []
        if first is not None:
            self.words = first.words

    def put(self, task: Task) -> None:
        if isinstance(task, Chunk):
            self.chunks.append(task.sequence)
        super().put(task)


def chunks_of(slabs: int) -> tuple[list[int], list[int], list[int]]:
    """What each of three workers is sent, who answer at once, where there are so many slabs."""
    memory = Slabs(slabs, SLAB_BYTES)
    first = Shared(memory)
    lines: list[Any] = [first, Shared(memory, first), Shared(memory, first)]
    words: Any = first
    reader = Reader(memory, Lines(lines, 3), words, Figures(), chunk_bytes=600)
    reader.read(0, Feed(Counted(io.BytesIO(DOCUMENT), b""), None, None), PIPELINE, allow_empty=False)
    reader.finish()
    one, two, three = (line.chunks for line in lines)
    return one, two, three


def test_the_first_worker_has_them_all_as_long_as_it_keeps_up() -> None:
    one, two, three = chunks_of(slabs=2 * CROWDED_CHUNKS * 3)
    assert len(one) >= CROWDED_CHUNKS
    assert (two, three) == ([], [])


def test_all_take_turns_where_the_reader_has_to_wait_for_a_slab() -> None:
    one, two, three = chunks_of(slabs=1)
    assert len(one) >= CROWDED_CHUNKS // 3
    assert max(map(len, (one, two, three))) - min(map(len, (one, two, three))) <= 2
    assert sorted(one + two + three) == list(range(len(one + two + three)))
