"""A zstd stream of several frames is decompressed by several threads, in order.

`pzstd`, and whoever writes the seekable format, cut what they compress into frames that need nothing of
each other. The headers of a frame and of its blocks say where it ends (RFC 8878, 3.1.1), so frames are told
apart without decompressing them, as they come: a pipe or a web server does as well as a file.

The first frame is decompressed as it comes, which is all that happens to a stream of one, as `zstd` writes
it. So is a frame that is too long to be held, when it is next; and if frames decompress to more than a
buffer holds, what is left of them is. Every byte goes through Arrow's decoder, and it alone judges them:
what is not understood here, or ends early, goes to it as it stands.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import pyarrow

from etl.errors import EtlError
from etl.slabs import Slabs

READ_BYTES = 1 << 18
"""How much is read at a time."""

RUN_BYTES = 1 << 19
"""A thread is given as many frames as have so many bytes, compressed: one, or some if they are small."""

FRAME_BYTES = 4 << 20
"""How long a frame may be, compressed, that is held as a whole."""

BUFFER_BYTES = 8 << 20
"""How much a thread decompresses ahead of what is read: a whole frame of `pzstd` at its default level."""

STEP_BYTES = 1 << 20
"""How much it does at a time: Arrow drops what it did in a call in which it meets with an error."""

_FRAME, _BLOCK, _END = range(3)


class UnknownFrame(Exception):
    """What stands there is no frame that this module knows; Arrow may."""


class Walk:
    """Follows the headers of frames and blocks through a stream."""

    def __init__(self) -> None:
        self._next = _FRAME
        """What stands behind the bytes to be skipped."""
        self._skip = 0
        self._begun = b""
        """The beginning of a header whose rest is still to come."""
        self._checksum_bytes = 0

    def ends(self, data: bytes | memoryview) -> Iterator[int]:
        """Yield where in `data`, the next bytes of the stream, a frame ends; skippable ones are frames too.

        Raises:
            UnknownFrame: there is none where one should be, or its kind is not defined.
        """
        begun = len(self._begun)
        if begun:
            data = self._begun + data
        place = self._skip
        while place <= len(data):
            if self._next == _END:
                self._next = _FRAME
                yield place - begun
            elif self._next == _BLOCK:
                if place + 3 > len(data):
                    break
                # RFC 8878, 3.1.1.2: Last_Block is bit 0, Block_Type 1 and 2, Block_Size the other 21.
                header = data[place] | data[place + 1] << 8 | data[place + 2] << 16
                kind = header >> 1 & 3
                if kind == 3:
                    raise UnknownFrame
                place += 3 + (1 if kind == 1 else header >> 3)  # of an RLE block only the byte is there
                if header & 1:
                    place += self._checksum_bytes
                    self._next = _END
            elif length := self._header_bytes(bytes(data[place : place + 8])):
                place += length
            else:
                break
        self._begun = bytes(data[place:])
        self._skip = max(0, place - len(data))

    def _header_bytes(self, head: bytes) -> int:
        """Return how long a frame's header is (of a skippable one, all of it); 0 if more of it is needed.

        Raises:
            UnknownFrame: it is none.
        """
        if len(head) < 5:
            return 0
        magic = int.from_bytes(head[:4], "little")
        if magic >> 4 == 0x184D2A5:  # 3.1.2
            if len(head) < 8:
                return 0
            self._next = _END
            return 8 + int.from_bytes(head[4:], "little")
        descriptor = head[4]  # 3.1.1.1.1
        if magic != 0xFD2FB528 or descriptor & 0x08:
            raise UnknownFrame
        self._next = _BLOCK
        self._checksum_bytes = descriptor & 0x04  # the flag for 4 bytes has the value 4
        single_segment = descriptor >> 5 & 1
        dictionary_id = (0, 1, 2, 4)[descriptor & 3]
        content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
        return 5 + (1 - single_segment) + dictionary_id + content_size


class _Raw(Protocol):
    def read(self, size: int = -1, /) -> bytes | memoryview: ...

    def readinto(self, buffer: memoryview, /) -> int: ...


class _Ahead:
    """Compressed bytes, of which what was read too far can be put back."""

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw
        self._held = memoryview(b"")
        self._ended = False
        self._failure: EtlError | None = None
        self.position = 0
        """Bytes given out so far, less those put back."""

    def read(self, size: int) -> bytes | memoryview:
        """Return up to `size` bytes; none at the end.

        Raises:
            EtlError: the source failed; as often as it is asked.
        """
        data: bytes | memoryview = self._held[:size]
        self._held = self._held[size:]
        if not data:
            with self._remembered():
                data = b"" if self._ended else self._raw.read(size)
            self._ended = not data
        self.position += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer`, and return how many bytes; none at the end.

        Raises:
            EtlError: as `read`.
        """
        count = min(len(self._held), len(buffer))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        if not count:
            with self._remembered():
                count = 0 if self._ended else self._raw.readinto(buffer)
            self._ended = not count
        self.position += count
        return count

    def put_back(self, data: bytes | memoryview) -> None:
        """Make `data` the next bytes that are read."""
        self.position -= len(data)
        self._held = memoryview(bytes(data) + self._held)

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except EtlError as error:
            self._failure = error
            raise


class _Frame(io.RawIOBase):
    """The next frame, as a stream that ends where it does."""

    def __init__(self, ahead: _Ahead) -> None:
        super().__init__()
        self._ahead = ahead
        self._walk: Walk | None = Walk()
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes | memoryview:
        """Return up to `size` bytes; none at the end of the frame, or of what is no frame."""
        piece = b"" if self._ended else self._ahead.read(size)
        if self._walk is not None:
            try:
                for end in self._walk.ends(piece):
                    self._ended = True
                    self._ahead.put_back(piece[end:])
                    return piece[:end]
            except UnknownFrame:
                self._walk = None
        return piece


class _Streamed:
    """A frame that is decompressed as it comes, or all that is left."""

    def __init__(self, ahead: _Ahead) -> None:
        self._ahead = ahead
        self._stream = _decompressed(pyarrow.PythonFile(_Frame(ahead), mode="r"))

    @property
    def position(self) -> int:
        return self._ahead.position

    def readinto(self, buffer: memoryview) -> int:
        count: int = self._stream.readinto(buffer)
        return count


class _Space(NamedTuple):
    """What a run lives in; used again and again, as new pages cost more than copying does."""

    compressed: memoryview
    decompressed: memoryview


class _Run:
    """Whole frames, held, that a thread decompresses into a buffer before they are to be read."""

    def __init__(self, space: _Space, length: int, start: int, threads: ThreadPoolExecutor) -> None:
        self.space = space
        self._start = start
        self._compressed = pyarrow.BufferReader(space.compressed[:length])
        self._stream = _decompressed(self._compressed)
        self._filled = 0
        self._taken = 0
        self._outcome: Exception | None = None
        self._ended = False
        self._filling: Future[None] = threads.submit(self._fill)

    @property
    def position(self) -> int:
        return self._start + (self._compressed.tell() if self._filling.done() else 0)

    def readinto(self, buffer: memoryview) -> int:
        self._filling.result()
        if self._taken < self._filled:
            part = self.space.decompressed[self._taken : min(self._filled, self._taken + len(buffer))]
            buffer[: len(part)] = part
            self._taken += len(part)
            return len(part)
        if self._outcome is not None:
            raise self._outcome
        count: int = 0 if self._ended else self._stream.readinto(buffer)
        return count

    def _fill(self) -> None:
        buffer = self.space.decompressed
        try:
            while self._filled < len(buffer) and not self._ended:
                count = self._stream.readinto(buffer[self._filled : self._filled + STEP_BYTES])
                self._filled += count
                self._ended = not count
        except (OSError, pyarrow.ArrowException) as error:
            self._outcome = error  # raised when they are to be read


def _decompressed(stream: pyarrow.NativeFile) -> pyarrow.CompressedInputStream:
    return pyarrow.CompressedInputStream(stream, "zstd")


class Frames:
    """A zstd stream, decompressed."""

    def __init__(self, raw: _Raw, threads: int) -> None:
        """Decompress with so many threads where there are several frames; none is started before."""
        self._ahead = _Ahead(raw)
        self._threads = ThreadPoolExecutor(threads)
        numbers = range(threads + 1)
        compressed = Slabs(len(numbers), RUN_BYTES + FRAME_BYTES + READ_BYTES)
        decompressed = Slabs(len(numbers), BUFFER_BYTES)
        self._free = [_Space(compressed[number], decompressed[number]) for number in numbers]
        self._parts: deque[_Streamed | _Run] = deque([_Streamed(self._ahead)])

    @property
    def bytes_read(self) -> int:
        """Compressed bytes up to the place that was read last."""
        return self._parts[0].position if self._parts else self._ahead.position

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer`, and return how many bytes; none at the end.

        Raises:
            EtlError: the source failed.
            OSError, pyarrow.ArrowException: the stream is cut short or damaged.
        """
        self._look_ahead()
        while self._parts:
            count = self._parts[0].readinto(buffer)
            if count:
                return count
            done = self._parts.popleft()
            if isinstance(done, _Run):
                self._free.append(done.space)
            self._look_ahead()
        return 0

    def _look_ahead(self) -> None:
        """Have frames decompressed as long as there are buffers for them."""
        while self._free and not (self._parts and isinstance(self._parts[-1], _Streamed)):
            part = self._next()
            if part is None:
                break
            self._parts.append(part)

    def _next(self) -> _Streamed | _Run | None:
        """Return the next frames; None at the end of the stream."""
        walk, start = Walk(), self._ahead.position
        held = self._free[-1].compressed
        length = whole = 0
        try:
            while whole < RUN_BYTES and length - whole <= FRAME_BYTES:
                count = self._ahead.readinto(held[length : length + READ_BYTES])
                if not count:
                    break
                length += count
                for end in walk.ends(held[length - count : length]):
                    whole = length - count + end
        except (EtlError, UnknownFrame):
            pass  # It comes again when it is to be read: then this is where to begin.
        else:
            if not length:
                return None
        self._ahead.put_back(held[whole:length])
        if not whole:
            return _Streamed(self._ahead)
        return _Run(self._free.pop(), whole, start, self._threads)
