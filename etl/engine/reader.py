"""The reader process: streams are decompressed into slabs and cut into chunks of whole records.

It cuts at the last boundary that a slab shows, by signature, without knowing for certain that this is at
the depth of records: the workers prove that as they parse, and the writer's credits say so. The bytes
of a chunk stay in its slab until then. If a chunk was refused, everything from its start on is still
there; it is put back into the feed and cut again, exactly, by following every bracket. So is what shows
no boundary, and what is left at the end of the feed, where the container closes.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from etl.declare.location import Version
from etl.declare.pipeline import Pipeline
from etl.engine.channels import Channel, Lines
from etl.engine.figures import Figures
from etl.engine.messages import Chunk, Credit, Done, End, Lost, Opening, Oversize, Ready, Word
from etl.errors import EmptyFeed, MalformedFeed, TruncatedFeed
from etl.faults import reached
from etl.records.found import RAW_BYTES
from etl.shape.document import HEAD_LIMIT, TAIL_LIMIT, Envelope, learn, refusing
from etl.shape.layout import BLANK, Container, Layout, LineScanner, Scanner, last_boundary, learned
from etl.slabs import Slabs
from etl.source.feed import Feed

if TYPE_CHECKING:
    from etl.shape.oversize import Grammar


OPENING_BYTES = 4096
"""How much of a feed's first records is kept, to say what may be wrong where none matched."""

CROWDED_CHUNKS = 32
"""For how many chunks all workers take turns, after the reader had to wait for a free slab."""


class _Sent(NamedTuple):
    """A chunk that the writer has not dealt with yet."""

    task: Chunk | Oversize
    turn: int
    consumed: int
    """The chunk and the separator after it, in bytes."""
    after_separator: bool
    """There is one before it."""


class Reader:
    """Cuts feeds; the workers' queues and the writer's credits are its only links to the others."""

    def __init__(
        self,
        slabs: Slabs,
        lines: Lines,
        words: Channel[Word],
        figures: Figures,
        chunk_bytes: int,
        salvage: bool = False,
    ) -> None:
        """Cut chunks of about `chunk_bytes`; a record may be as long as a slab.

        Unless `salvage`, one that is longer and malformed ends the run: it may be any number of records,
        after a string that is not closed.
        """
        self._slabs = slabs
        self._lines = lines
        self._words = words
        self._figures = figures
        self._salvage = salvage
        self._chunk_bytes = min(chunk_bytes, slabs.size)
        self._free = list(range(slabs.count))
        self._sent: deque[_Sent] = deque()
        self._refused: list[_Sent] = []
        self._sequence = 0
        self._turn = 0
        """Who has the next chunk, or the end."""
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
        ready = self._words.get()
        assert isinstance(ready, Ready)
        return ready.known

    def read(self, source: int, feed: Feed, pipeline: Pipeline, allow_empty: bool) -> None:
        """Send all records of one feed, and check that it is complete.

        Raises:
            DataError: the feed is truncated, malformed around its records, empty or an error reply.
            SourceUnavailable: the source fails.
        """
        if self._stop:
            return
        self._feed = feed
        self._figures.source_size += feed.size or 0
        try:
            head, self._layout = inspect(feed, pipeline)
        except EmptyFeed:
            if not allow_empty:
                raise
            self._read_before += feed.bytes_read
            return
        self.openings.append(head[self._layout.start :][:OPENING_BYTES])
        reached("opened")
        self._announce(source)
        self._offset = self._exact_until = self._layout.start
        self._after_separator = False
        feed.put_back(head[self._layout.start :])
        tail = self._send_records()
        self._drain()
        if not self._stop and self._layout.container is not Container.LINES:
            self._check_document(head[: self._layout.start], tail)
        self._show(0)
        self._base += self._offset
        self._read_before += feed.bytes_read

    def finish(self, version: Version | None = None, modified: bool = True) -> None:
        """Tell the workers and the writer that everything was sent, or (not `modified`) need not be."""
        reached("end")
        end = End(self._sequence, self._read_before, self._base, self._stop, version, modified)
        self._lines[self._turn].tasks.put(end)
        while not isinstance(word := self._words.get(), Done):
            assert isinstance(word, Lost)
            self._lines.replace(word.turn)
            self._lines[word.turn].tasks.put(end)
        reached("done")
        for turn in range(len(self._lines)):
            self._lines[turn].tasks.put(None)

    def _announce(self, source: int) -> None:
        """Tell every worker of the layout, as it is known now."""
        self._opening = Opening(source, self._base, self._layout)
        self._signature = self._layout.boundary()
        for turn in range(len(self._lines)):
            self._lines[turn].tasks.put(self._opening)

    # Chunks ----------------------------------------------------------------------------------------

    def _send_records(self) -> bytes:
        """Send every record; return what was read from the container's closing bracket on."""
        while True:
            slab = self._acquire()
            if self._stop:
                return b""
            view = self._slabs[slab]
            length = self._feed.readinto(view[: self._chunk_bytes])
            ended = length < self._chunk_bytes
            if self._offset >= self._exact_until:
                cut = last_boundary(self._signature, view, 0, length)
                while cut < 0 and not ended and length < len(view):
                    length, ended = self._extend(view, length, 4 * length)
                    cut = last_boundary(self._signature, view, 0, length)
                if cut >= 0:
                    lines = self._layout.container is Container.LINES
                    self._send(slab, cut, exact=lines)
                    self._put_back(view, cut + 1, length)
                    continue
            # An exact cut needs a start that is proved, so all that was sent must be settled first.
            self._drain()
            if self._refused:
                self._put_back(view, 0, length)
                self._free.append(slab)
                continue
            tail = self._send_exactly(slab, view, length, ended)
            if tail is not None:
                return tail

    def _send_exactly(self, slab: int, view: memoryview, length: int, ended: bool) -> bytes | None:
        """Cut by the scanner; return what was read from the container's end on, if it closes."""
        scanner = LineScanner() if self._layout.container is Container.LINES else Scanner()
        fed = 0
        while not (scanner.separators or scanner.closed is not None):
            if fed == length:
                if ended or length == len(view):
                    break
                length, ended = self._extend(view, length, length + self._chunk_bytes)
            end = min(length, fed + self._chunk_bytes)
            scanner.feed(view[fed:end])  # no more than a chunk: tiny records are many
            fed = end
        if scanner.closed is not None:
            tail = bytes(view[scanner.closed : min(length, scanner.closed + TAIL_LIMIT + 1)])
            self._send_last(slab, view, scanner.closed)
            return tail
        if scanner.separators:
            cut = scanner.separators[-1]
            self._learn(view[:length], scanner.separators)
            self._send(slab, cut, exact=True)
            self._put_back(view, cut + 1, length)
        elif not ended:
            blanks = length - len(bytes(view[:length]).lstrip(BLANK))
            if blanks:  # they are no part of a record that would be short enough without them
                self._offset += blanks
                self._put_back(view, blanks, length)
                self._free.append(slab)
            else:
                self._send_oversize(slab, view, length, scanner)
        elif self._layout.container is Container.LINES:
            self._send_last(slab, view, length)
            return b""
        else:
            self._check_beginning(view[:length])
            raise self._truncated(length)
        return None

    def _learn(self, data: memoryview, separators: list[int]) -> None:
        """Take up the names by which these records begin, if they show no boundary for want of them."""
        if self._offset < self._exact_until or self._layout.container is Container.LINES:
            return
        layout = learned(self._layout, data, separators)
        if layout != self._layout:
            self._layout = layout
            self._announce(self._opening.source)

    def _send_last(self, slab: int, view: memoryview, length: int) -> None:
        """Send what stands before the container's end."""
        if bytes(view[:length]).strip(BLANK):
            self._send(slab, length, exact=True, separator=0)
            return
        self._free.append(slab)
        self._offset += length
        if self._after_separator and self._layout.container is not Container.LINES:
            raise MalformedFeed(f"not well-formed JSON at byte {self._offset:,}: trailing comma")

    def _send_oversize(self, slab: int, view: memoryview, length: int, scanner: Scanner) -> None:
        """Skip a record that is longer than a slab, in constant memory, and send its first bytes."""
        grammar = None if self._salvage else self._check_beginning(view[:length])
        scratch = view[RAW_BYTES:]
        count, size = 0, None
        while size is None:
            length += count
            count = self._feed.readinto(scratch)
            scanner.feed(scratch[:count])
            size = scanner.end
            if grammar is not None:
                with refusing():
                    grammar.feed(scratch[: count if size is None else size - length])
            if size is None and count < len(scratch):
                if self._layout.container is not Container.LINES:
                    raise self._truncated(length + count)
                size = length + count
            self._show(length)
        if grammar is not None:
            with refusing():
                grammar.close()
        consumed = size + (1 if scanner.separators else 0)
        self._put_back(scratch, consumed - length, count)
        self._dispatch(Oversize(self._sequence, slab, RAW_BYTES, self._offset, size), consumed)
        self._after_separator = consumed > size

    def _truncated(self, length: int) -> TruncatedFeed:
        """Return what to say of a feed that ends after `length` bytes that are no whole record."""
        return TruncatedFeed(
            f"truncated: the feed ends at byte {self._offset + length:,}, inside the record that"
            f" begins at byte {self._offset:,}"
        )

    def _send(self, slab: int, length: int, exact: bool, separator: int = 1) -> None:
        chunk = Chunk(self._sequence, slab, length, self._offset, exact)
        self._dispatch(chunk, length + separator)
        self._after_separator = separator > 0

    def _dispatch(self, task: Chunk | Oversize, consumed: int) -> None:
        turn = self._turn
        self._turn = self._next_turn()
        task = task._replace(following=self._turn)
        self._lines[turn].tasks.put(task)
        self._sent.append(_Sent(task, turn, consumed, self._after_separator))
        self._sequence += 1
        self._offset += consumed
        self._show(0)
        reached("sent")

    def _next_turn(self) -> int:
        """Return who shall have the next chunk: the first worker as long as it keeps up, else all in turn.

        With a compressed feed of which little is wanted one is enough, and others would only take cores
        from the reader.
        """
        return 0 if self._sequence > self._crowded else (self._turn + 1) % len(self._lines)

    # Bytes -----------------------------------------------------------------------------------------

    def _extend(self, view: memoryview, length: int, target: int) -> tuple[int, bool]:
        """Read on until `view` holds `target` bytes; return how many it holds, and if all is read."""
        target = min(target, len(view))
        length += self._feed.readinto(view[length:target])
        return length, length < target

    def _put_back(self, view: memoryview, start: int, stop: int) -> None:
        self._feed.put_back(bytes(view[start:stop]))

    def _show(self, ahead: int) -> None:
        self._figures.bytes_read = self._read_before + self._feed.bytes_read
        self._figures.bytes_decoded = self._base + self._offset + ahead

    def _check_document(self, head: bytes, tail: bytes) -> None:
        """Check what stands around the records, to the end of the feed."""
        document = Envelope(self._layout.path)
        begin = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
        document.feed(head[begin:], begin)
        more = bytearray(max(0, TAIL_LIMIT + 1 - len(tail)))
        tail += more[: self._feed.readinto(memoryview(more))]
        document.feed(tail, self._offset)
        if len(tail) > TAIL_LIMIT:
            raise MalformedFeed(
                f"the document goes on at byte {self._offset + TAIL_LIMIT:,},"
                f" more than {TAIL_LIMIT:,} bytes after its records"
            )
        self._offset += len(tail)
        document.close()

    def _check_beginning(self, data: memoryview) -> Grammar:
        """Check that a record could go on after `data`, its beginning; return what can follow it on."""
        from etl.shape.oversize import Grammar  # which few runs need

        grammar = Grammar(self._layout.container, self._offset)
        with refusing():
            grammar.feed(data)
        return grammar

    # Credits ---------------------------------------------------------------------------------------

    def _acquire(self) -> int:
        """Return a free slab, waiting for the writer if there is none."""
        if not self._free:
            self._crowded = self._sequence + CROWDED_CHUNKS
        while not self._refused and not (self._free and self._words.empty()):
            self._heed(self._words.get())
        if self._refused:
            self._drain()
            self._take_back()
        return self._free.pop()

    def _drain(self) -> None:
        """Wait until the writer has dealt with all that was sent."""
        while self._sent:
            self._heed(self._words.get())

    def _heed(self, word: Word) -> None:
        if isinstance(word, Lost):
            self._send_again(word)
            return
        assert isinstance(word, Credit)
        sent = self._sent.popleft()
        self._stop = self._stop or word.stop
        if word.applied:
            self._free.append(sent.task.slab)
        else:
            self._refused.append(sent)

    def _send_again(self, lost: Lost) -> None:
        """Give what a dead worker had, and has not dealt with, to the one that takes its turn."""
        self._lines.replace(lost.turn)
        tasks = self._lines[lost.turn].tasks
        tasks.put(self._opening)
        for task, turn, *_ in self._sent:
            if turn == lost.turn:
                if isinstance(task, Chunk) and task.sequence == lost.sequence:
                    tasks.put(task._replace(deadly=lost.deadly))
                else:
                    tasks.put(task)

    def _take_back(self) -> None:
        """Put the chunks from the first refused one on back into the feed, to be cut exactly."""
        parts = [bytes(self._slabs[sent.task.slab][: sent.consumed]) for sent in self._refused]
        self._feed.put_back(b"".join(parts))
        self._exact_until = self._offset
        self._offset = self._refused[0].task.offset
        self._after_separator = self._refused[0].after_separator
        self._free += [sent.task.slab for sent in self._refused]
        self._refused = []


def inspect(feed: Feed, pipeline: Pipeline) -> tuple[bytes, Layout]:
    """Return the first bytes of a document, and the layout that they show.

    Raises:
        DataError: as `etl.shape.document.learn` says.
    """
    members = tuple(field.encode_name for field in msgspec.structs.fields(pipeline.record))
    head, size = b"", 4096
    while True:
        more = bytearray(size)
        count = feed.readinto(memoryview(more))
        head += more[:count]
        complete = count < size
        try:
            return head, learn(head, complete, pipeline.marker, pipeline.envelope, members)
        except MalformedFeed:
            if complete or len(head) >= HEAD_LIMIT:
                raise
        size = len(head)
