"""Which worker has which chunk."""

from __future__ import annotations

from collections import deque
from typing import Any

from etl.engine.channels import Workers
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Credit, Done, End, ToReader, ToWorker
from etl.engine.reader import CROWDED_CHUNKS, Reader
from etl.slabs import Slabs
from tests.acceptance.feeds import as_object, deal
from tests.support.one_process import SLAB_BYTES, WANTED, feed_of

DOCUMENT = as_object([(str(number), deal()) for number in range(3 * CROWDED_CHUNKS)])


class Worker:
    """One of several workers, and the writer behind it, who answer at once; all share a channel."""

    def __init__(self, messages: deque[ToReader]) -> None:
        self.tasks = self
        self.chunks: list[int] = []
        self._messages = messages

    def put(self, task: ToWorker) -> None:
        if isinstance(task, Chunk):
            self.chunks.append(task.sequence)
            self._messages.append(Credit(applied=True, stop=False))
        elif isinstance(task, End):
            self._messages.append(Done())


class Messages(deque[ToReader]):
    """The channel that they share."""

    get = deque.popleft

    def empty(self) -> bool:
        return not self


def chunks_of(slabs: int) -> tuple[list[int], list[int], list[int]]:
    """What each of three workers is sent, where there are so many slabs."""
    messages: Any = Messages()
    workers: list[Any] = [Worker(messages) for _ in range(3)]
    reader = Reader(Slabs(slabs, SLAB_BYTES), Workers(workers, 3), messages, Figures(), chunk_bytes=600)
    reader.read(0, feed_of(DOCUMENT), WANTED, allow_empty=False)
    reader.finish()
    one, two, three = (worker.chunks for worker in workers)
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
