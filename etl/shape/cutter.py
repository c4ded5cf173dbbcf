"""The cutter: the decompressed bytes of one feed are cut into whole records, whatever the feed is like.

It cuts at the last boundary that a buffer shows, by signature, without knowing for certain that this is at
the depth of records: whoever parses what was cut proves that. If a cut proves wrong, what was cut from
there on is taken back and cut again, exactly, by following every bracket. So is what shows no boundary, and
what is left at the end of the feed, where the container closes. An exact cut is right if all before it is.

Who uses it decides nothing but when: in one process each cut is proved before the next one is asked for; a
reader process cuts ahead of the workers, and is told when that cannot go on.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable
from typing import TYPE_CHECKING

from etl.errors import MalformedFeed, TruncatedFeed
from etl.shape.cuts import Cut, Halt
from etl.shape.document import TAIL_LIMIT, Envelope
from etl.shape.events import refusing
from etl.shape.head import read_head
from etl.shape.layout import Container, RecordSigns, last_boundary, learned
from etl.shape.patterns import BLANK
from etl.shape.scanner import LineScanner, Scanner

if TYPE_CHECKING:
    from etl.shape.grammar import Grammar
    from etl.source.feed import Feed

OPENING_BYTES = 4096
"""How much of a feed's first records is kept, to say what may be wrong where none matched."""

BEGINNING_BYTES = 1000
"""How much is kept of a record that is too long, in the buffer that it does not fit into."""


class Cutter:
    """Cuts one feed."""

    def __init__(
        self,
        feed: Feed,
        signs: RecordSigns,
        chunk_bytes: int,
        salvage: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Find where the records are; they are cut to chunks of about `chunk_bytes`.

        `progress` is called with the offset that was come to, while a record that is too long is skipped.
        Unless `salvage`, one that is also malformed ends the run: it may be any number of records, after a
        string that is not closed.

        Raises:
            EmptyFeed: the document is sound and holds no records.
            DataError: it shows no records, or is an error reply.
            SourceUnavailable: the source fails.
        """
        self._feed = feed
        self._chunk_bytes = chunk_bytes
        self._salvage = salvage
        self._progress = progress
        head, self.layout = read_head(feed, signs)
        """Where the records are, as far as that is known now."""
        self._head = head[: self.layout.start]
        self.opening = head[self.layout.start :][:OPENING_BYTES]
        """The first bytes of the first records."""
        feed.put_back(head[self.layout.start :])
        self.offset = self.layout.start
        """How much of the decoded document was cut."""
        self._signature = self.layout.boundary()
        self._is_lines = self.layout.container is Container.LINES
        self._exact_until = self.layout.start
        """Up to this offset no signature is trusted."""
        self._no_boundary_at: int | None = None
        """An offset from which a buffer shows no boundary."""
        self._after_separator = False
        self._tail: bytes | None = None
        """What was read from the container's closing bracket on, once it was come to."""

    def cut(self, buffer: memoryview, proved: bool) -> Cut | Halt:
        """Fill a buffer, which is as long as a record may be, and cut it.

        `proved` says that all that was cut before was found well-formed: then the answer is never
        `Halt.UNPROVED`. After `Halt.END` nothing more may be asked for.

        Raises:
            DataError: the feed is truncated, malformed around its records, or an error reply.
            SourceUnavailable: the source fails.
        """
        while self._tail is None:
            outcome = self._cut(buffer, proved)
            if outcome is not None:
                return outcome
        if not proved:
            return Halt.UNPROVED
        if not self._is_lines:
            self._check_document(self._tail)
        return Halt.END

    def take_back(self, first: Cut, data: bytes) -> None:
        """Have all from `first` on, which is `data`, cut again, exactly; what is before it is proved."""
        self._feed.put_back(data)
        self._exact_until = self.offset
        self.offset = first.offset
        self._after_separator = first.after_separator

    # Cuts ------------------------------------------------------------------------------------------

    def _cut(self, buffer: memoryview, proved: bool) -> Cut | Halt | None:
        """Cut once; None if there was nothing but white space, or the end was come to."""
        must_be_exact = self.offset < self._exact_until or self.offset == self._no_boundary_at
        if must_be_exact and not proved:
            return Halt.UNPROVED
        wished = min(self._chunk_bytes, len(buffer))
        length = self._feed.readinto(buffer[:wished])
        ended = length < wished
        if not must_be_exact:
            cut = last_boundary(self._signature, buffer, 0, length)
            while cut < 0 and not ended and length < len(buffer):
                length, ended = self._extend(buffer, length, 4 * length)
                cut = last_boundary(self._signature, buffer, 0, length)
            if cut >= 0:
                self._put_back(buffer, cut + 1, length)
                return self._taken(cut, exact=self._is_lines)
            if not proved:
                self._put_back(buffer, 0, length)
                self._no_boundary_at = self.offset
                return Halt.UNPROVED
        return self._cut_exactly(buffer, length, ended)

    def _cut_exactly(self, buffer: memoryview, length: int, ended: bool) -> Cut | None:
        """Cut by the scanner; None if there was only white space, or the end was come to."""
        scanner = LineScanner() if self._is_lines else Scanner()
        fed = 0
        while not (scanner.separators or scanner.closed is not None):
            if fed == length:
                if ended or length == len(buffer):
                    break
                length, ended = self._extend(buffer, length, length + self._chunk_bytes)
            end = min(length, fed + self._chunk_bytes)
            scanner.feed(buffer[fed:end])  # no more than a chunk: tiny records are many
            fed = end
        if scanner.closed is not None:
            self._tail = bytes(buffer[scanner.closed : min(length, scanner.closed + TAIL_LIMIT + 1)])
            return self._take_last(buffer, scanner.closed)
        if scanner.separators:
            cut = scanner.separators[-1]
            self._learn(buffer[:length], scanner.separators)
            self._put_back(buffer, cut + 1, length)
            return self._taken(cut, exact=True)
        if not ended:
            blanks = length - len(bytes(buffer[:length]).lstrip(BLANK))
            if not blanks:
                return self._skip_long_record(buffer, length, scanner)
            # They are no part of a record that would be short enough without them.
            self.offset += blanks
            self._put_back(buffer, blanks, length)
            return None
        if self._is_lines:
            self._tail = b""
            return self._take_last(buffer, length)
        self._check_beginning(buffer[:length])
        raise self._truncated(length)

    def _learn(self, data: memoryview, separators: list[int]) -> None:
        """Take up the names by which these records begin, if they show no boundary for want of them."""
        if self.offset < self._exact_until or self._is_lines:
            return
        layout = learned(self.layout, data, separators)
        if layout != self.layout:
            self.layout = layout
            self._signature = layout.boundary()

    def _take_last(self, buffer: memoryview, length: int) -> Cut | None:
        """Cut what stands before the container's end; None if there is nothing."""
        if bytes(buffer[:length]).strip(BLANK):
            return self._taken(length, exact=True, separator=0)
        self.offset += length
        if self._after_separator and not self._is_lines:
            raise MalformedFeed(f"not well-formed JSON at byte {self.offset:,}: trailing comma")
        return None

    def _taken(self, length: int, exact: bool, separator: int = 1, size: int | None = None) -> Cut:
        """Go on behind what was cut."""
        consumed = (length if size is None else size) + separator
        cut = Cut(self.offset, length, consumed, exact, self._after_separator, size)
        self._after_separator = separator > 0
        self.offset += consumed
        return cut

    def _skip_long_record(self, buffer: memoryview, length: int, scanner: Scanner) -> Cut:
        """Read on to the end of a record that is longer than the buffer, in constant memory."""
        grammar = None if self._salvage else self._check_beginning(buffer[:length])
        scratch = buffer[BEGINNING_BYTES:]
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
                if not self._is_lines:
                    raise self._truncated(length + count)
                size = length + count
            self._progress(self.offset + length)
        if grammar is not None:
            with refusing():
                grammar.close()
        separator = 1 if scanner.separators else 0
        self._put_back(scratch, size + separator - length, count)
        return self._taken(BEGINNING_BYTES, exact=True, separator=separator, size=size)

    def _check_beginning(self, data: memoryview) -> Grammar:
        """Check that a record could go on after `data`, its beginning; return what can follow it on."""
        from etl.shape.grammar import Grammar  # which few runs need

        grammar = Grammar(self.layout.container, self.offset)
        with refusing():
            grammar.feed(data)
        return grammar

    def _truncated(self, length: int) -> TruncatedFeed:
        """Return what to say of a feed that ends after `length` bytes that are no whole record."""
        return TruncatedFeed(
            f"truncated: the feed ends at byte {self.offset + length:,}, inside the record that"
            f" begins at byte {self.offset:,}"
        )

    def _check_document(self, tail: bytes) -> None:
        """Check what stands around the records, to the end of the feed."""
        document = Envelope(self.layout.path)
        begin = len(BOM_UTF8) if self._head.startswith(BOM_UTF8) else 0
        document.feed(self._head[begin:], begin)
        more = bytearray(max(0, TAIL_LIMIT + 1 - len(tail)))
        tail += more[: self._feed.readinto(memoryview(more))]
        document.feed(tail, self.offset)
        if len(tail) > TAIL_LIMIT:
            raise MalformedFeed(
                f"the document goes on at byte {self.offset + TAIL_LIMIT:,},"
                f" more than {TAIL_LIMIT:,} bytes after its records"
            )
        self.offset += len(tail)
        document.close()

    # Bytes -----------------------------------------------------------------------------------------

    def _extend(self, buffer: memoryview, length: int, target: int) -> tuple[int, bool]:
        """Read on until `buffer` holds `target` bytes; return how many it holds, and if all is read."""
        target = min(target, len(buffer))
        length += self._feed.readinto(buffer[length:target])
        return length, length < target

    def _put_back(self, buffer: memoryview, start: int, stop: int) -> None:
        self._feed.put_back(bytes(buffer[start:stop]))
