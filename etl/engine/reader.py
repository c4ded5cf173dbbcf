"""The reader process: feeds are cut into slabs ahead of the workers.

What is cut, and whether rightly, is the cutter's to know (`etl.shape.cutter`). The reader gives it slabs
and hands what is in them to workers. The writer's credits say which slabs are free, and which cuts proved
wrong: the bytes of a chunk stay in its slab until then, so that it can be cut again. So only numbers travel
through the queues.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from etl.declare.location import Version
from etl.engine.channels import Channel, Workers
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Credit, Done, End, Lost, Opening, Ready, ToReader
from etl.errors import EmptyFeed
from etl.faults import reached
from etl.records.wanted import Wanted
from etl.shape.cuts import Cut, Halt
from etl.shape.cutter import Cutter
from etl.slabs import Slabs
from etl.source.feed import Feed

CROWDED_CHUNKS = 32
"""For how many chunks all workers take turns, after the reader had to wait for a free slab."""


class _Sent(NamedTuple):
    """A chunk that the writer has not dealt with yet."""

    chunk: Chunk
    worker: int


class Reader:
    """Hands out what is cut; the workers' queues and the writer's messages are its only links to others."""

    def __init__(
        self,
        slabs: Slabs,
        workers: Workers,
        messages: Channel[ToReader],
        figures: Figures,
        chunk_bytes: int,
        salvage: bool = False,
    ) -> None:
        """Have chunks of about `chunk_bytes` cut; a record may be as long as a slab."""
        self._slabs = slabs
        self._workers = workers
        self._messages = messages
        self._figures = figures
        self._salvage = salvage
        self._chunk_bytes = chunk_bytes
        self._free = list(range(slabs.count))
        self._sent: deque[_Sent] = deque()
        self._refused: list[_Sent] = []
        self._sequence = 0
        self._worker = 0
        """The index of the worker that has the next chunk, or the end."""
        self._crowded = -1
        """Up to which chunk all workers take turns."""
        self._base = 0
        """The decoded length of the feeds before this one."""
        self._read_before = 0
        """Their compressed length."""
        self._stop = False
        self.openings: list[bytes] = []
        """The first bytes of records of every feed that has any."""

    def wait_until_ready(self) -> Version | None:
        """Wait for the writer, which may have to wait for another run; return what it knows of the feed."""
        ready = self._messages.get()
        assert isinstance(ready, Ready)
        return ready.known

    def read(self, source: int, feed: Feed, wanted: Wanted, allow_empty: bool) -> None:
        """Send all records of one feed, and check that it is complete.

        Raises:
            DataError: the feed is truncated, malformed around its records, empty or an error reply.
            SourceUnavailable: the source fails.
        """
        if self._stop:
            return
        self._figures.source_size += feed.size or 0

        def show(offset: int) -> None:
            self._figures.bytes_read = self._read_before + feed.bytes_read
            self._figures.bytes_decoded = self._base + offset

        try:
            self._cutter = Cutter(feed, wanted.signs, self._chunk_bytes, self._salvage, show)
        except EmptyFeed:
            if not allow_empty:
                raise
        else:
            self.openings.append(self._cutter.opening)
            reached("opened")
            self._announce(source)
            while self._send_next(source):
                show(self._cutter.offset)
            self._wait_for_all()
            show(self._cutter.offset)
            self._base += self._cutter.offset
        self._read_before += feed.bytes_read

    def finish(self, version: Version | None = None, modified: bool = True) -> None:
        """Tell the workers and the writer that everything was sent, or (not `modified`) need not be."""
        reached("end")
        end = End(self._read_before, self._base, version, modified)
        self._workers[self._worker].tasks.put(end)
        while not isinstance(message := self._messages.get(), Done):
            assert isinstance(message, Lost)
            self._workers.replace(message.worker)
            self._workers[message.worker].tasks.put(end)
        reached("done")
        for index in range(len(self._workers)):
            self._workers[index].tasks.put(None)

    def _announce(self, source: int) -> None:
        """Tell every worker of the layout, as it is known now."""
        self._opening = Opening(source, self._base, self._cutter.layout)
        for index in range(len(self._workers)):
            self._workers[index].tasks.put(self._opening)

    # Chunks ----------------------------------------------------------------------------------------

    def _send_next(self, source: int) -> bool:
        """Send one more chunk, if there is one; say whether there may be another one."""
        slab = self._acquire()
        if self._stop:
            return False
        cut = self._cutter.cut(self._slabs[slab], proved=not self._sent)
        if isinstance(cut, Halt):
            self._free.append(slab)
            self._wait_for_all()
            return cut is not Halt.END
        if self._cutter.layout is not self._opening.layout:
            self._announce(source)
        self._send(slab, cut)
        return True

    def _send(self, slab: int, cut: Cut) -> None:
        worker = self._worker
        self._worker = self._next_worker()
        chunk = Chunk(self._sequence, slab, cut, self._worker)
        self._workers[worker].tasks.put(chunk)
        self._sent.append(_Sent(chunk, worker))
        self._sequence += 1
        reached("sent")

    def _next_worker(self) -> int:
        """Return who shall have the next chunk: the first as long as it keeps up, else each in turn.

        With a compressed feed of which little is wanted one is enough, and others would only take cores
        from the reader.
        """
        return 0 if self._sequence > self._crowded else (self._worker + 1) % len(self._workers)

    # Credits ---------------------------------------------------------------------------------------

    def _acquire(self) -> int:
        """Return a free slab, waiting for the writer if there is none."""
        if not self._free:
            self._crowded = self._sequence + CROWDED_CHUNKS
        while not self._refused and not (self._free and self._messages.empty()):
            self._receive(self._messages.get())
        if self._refused:
            self._wait_for_all()
            self._take_back()
        return self._free.pop()

    def _wait_for_all(self) -> None:
        """Wait until the writer has dealt with all that was sent."""
        while self._sent:
            self._receive(self._messages.get())

    def _receive(self, message: ToReader) -> None:
        if isinstance(message, Lost):
            self._send_again(message)
            return
        assert isinstance(message, Credit)
        sent = self._sent.popleft()
        self._stop = self._stop or message.stop
        if message.applied:
            self._free.append(sent.chunk.slab)
        else:
            self._refused.append(sent)

    def _send_again(self, lost: Lost) -> None:
        """Give what a dead worker had, and has not dealt with, to the one that takes over."""
        self._workers.replace(lost.worker)
        tasks = self._workers[lost.worker].tasks
        tasks.put(self._opening)
        for chunk, worker in self._sent:
            if worker == lost.worker:
                lost_now = chunk.sequence == lost.sequence and chunk.cut.size is None
                tasks.put(chunk._replace(poison=lost.poison) if lost_now else chunk)

    def _take_back(self) -> None:
        """Have the chunks from the first refused one on cut again."""
        chunks = [sent.chunk for sent in self._refused]
        parts = [bytes(self._slabs[chunk.slab][: chunk.cut.consumed]) for chunk in chunks]
        self._cutter.take_back(chunks[0].cut, b"".join(parts))
        self._free += [chunk.slab for chunk in chunks]
        self._refused = []
