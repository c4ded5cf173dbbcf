"""A URI becomes a stream of decompressed bytes, and an end of it that can be trusted.

Compression is told by magic bytes, never by name. Decompression is pyarrow's `CompressedInputStream`:
it raises on a stream that is cut short, on a bad checksum and on junk after the end, and it reads files
of several frames and zstd windows up to 128 MiB (`--long=27`); `etl.source.frames` has it read several
frames at once. What comes over HTTP is `etl.source.http`'s.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from etl.declare.location import PATIENT, Patience, Source, Version
from etl.errors import DataError, EtlError, SourceUnavailable, TruncatedFeed
from etl.text import rfc3339

if TYPE_CHECKING:
    from etl.source.frames import Frames

__all__ = ["Counted", "Feed", "Source", "Version", "compression", "errors_named", "open_feed"]

_MAGIC = (
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), "zstd"),  # RFC 8878, 3.1
    (re.compile(rb"\x1f\x8b"), "gzip"),  # RFC 1952, 2.3.1
    (re.compile(rb"BZh[1-9]"), "bz2"),
    (re.compile(rb"\x04\x22\x4d\x18"), "lz4"),  # the LZ4 frame format
)
MAGIC_BYTES = 4

logger = logging.getLogger(__name__)


def compression(head: bytes) -> str | None:
    """Return the codec that a stream begins with by its magic bytes, or None for plain."""
    for magic, name in _MAGIC:
        if magic.match(head):
            return name
    return None


@contextmanager
def errors_named(source: Source) -> Iterator[None]:
    """Put the source's name before what went wrong with it.

    Raises:
        DataError, SourceUnavailable: as they came.
    """
    try:
        yield
    except (DataError, SourceUnavailable) as error:
        raise type(error)(f"{source.shown}: {source.without_secrets(error.message)}") from None


class RawStream(Protocol):
    """Bytes as they are stored or sent."""

    def read(self, size: int = -1, /) -> bytes | memoryview:
        """Return up to `size` bytes; none at the end."""


class Counted(io.RawIOBase):
    """A raw stream with its first bytes put back, that counts what was read of it."""

    def __init__(self, stream: RawStream, head: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._head = head
        self.bytes_read = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes | memoryview:
        """Return up to `size` bytes; none at the end."""
        data: bytes | memoryview
        if self._head:
            data, self._head = self._head, b""
        else:
            with _unavailable():
                data = self._stream.read(size)
        self.bytes_read += len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read into `buffer`, and return how many bytes."""
        readinto = getattr(self._stream, "readinto", None)
        if self._head or readinto is None:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        with _unavailable():
            count: int = readinto(buffer)
        self.bytes_read += count
        return count


@contextmanager
def _unavailable() -> Iterator[None]:
    """Say why the operating system does not give what was asked for."""
    try:
        yield
    except OSError as error:
        raise SourceUnavailable(error.strerror or str(error)) from None


def is_plain_file(source: Source) -> bool:
    """Say whether a source is known not to be compressed: what could be looked at is a file."""
    path = source.path
    try:
        if path is None or not path.is_file():  # what is read of a pipe is gone
            return False
        with path.open("rb") as file:
            return compression(file.read(MAGIC_BYTES)) is None
    except OSError:
        return False


def warn_if_stale(version: Version, after: timedelta | None) -> None:
    """Log it if a feed was last changed longer ago than it should be."""
    modified_at = version.modified_at
    if after is not None and modified_at is not None and (age := datetime.now(UTC) - modified_at) > after:
        hours = age / timedelta(hours=1)
        logger.warning("the feed is stale: last changed %.1f hours ago, at %s", hours, rfc3339(modified_at))


class Feed:
    """An open source: decompressed bytes, in order, and how far it has come."""

    def __init__(
        self,
        raw: Counted,
        codec: str | None,
        size: int | None,
        version: Version | None = None,
        threads: int = 1,
    ) -> None:
        """Decompress what is read of `raw`; frames of zstd, where there are several, by so many threads."""
        self.codec = codec
        self.size = size
        """Compressed bytes in all, where that is known."""
        self.version = version
        """What a web server says of the feed's state."""
        self._returned: deque[memoryview] = deque()
        self._errors: tuple[type[Exception], ...] = (OSError,)
        self._progress: Counted | Frames = raw
        if codec is None:
            self._stream: io.RawIOBase | Frames = raw
            return
        import pyarrow

        self._errors = (OSError, pyarrow.ArrowException)
        if codec == "zstd" and threads > 1:
            from etl.source.frames import Frames

            self._stream = self._progress = Frames(raw, threads)
        else:
            self._stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), codec)

    @property
    def bytes_read(self) -> int:
        """Compressed bytes read so far."""
        return self._progress.bytes_read

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the stream goes; less than its length only at the end.

        Raises:
            TruncatedFeed: the compressed stream ends early or is damaged.
            SourceUnavailable: the source fails.
        """
        filled = 0
        while filled < len(buffer):
            if self._returned:
                part = self._returned.popleft()
                count = min(len(part), len(buffer) - filled)
                buffer[filled : filled + count] = part[:count]
                filled += count
                if count < len(part):
                    self._returned.appendleft(part[count:])
                continue
            count = self._readinto(buffer[filled:])
            if not count:
                break
            filled += count
        return filled

    def put_back(self, data: bytes) -> None:
        """Make `data` the next bytes that are read."""
        if data:
            self._returned.appendleft(memoryview(data))

    def _readinto(self, buffer: memoryview) -> int:
        try:
            return self._stream.readinto(buffer) or 0
        except EtlError:
            raise
        except self._errors as error:
            raise TruncatedFeed(
                f"the {self.codec} stream is truncated or damaged, after {self.bytes_read:,}"
                f" compressed bytes: {_first_line(error)}"
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _Raw(NamedTuple):
    stream: RawStream
    size: int | None
    version: Version | None = None


@contextmanager
def open_feed(
    source: Source, known: Version | None = None, patience: Patience = PATIENT, threads: int = 1
) -> Iterator[Feed | None]:
    """Open a path, `-` for standard input, or an http(s) URL, to be decompressed by so many threads.

    Yields None if the server says that the feed still is in the version `known`.

    Raises:
        SourceUnavailable: it cannot be opened.
        MalformedFeed: it is in a format that is not read.
    """
    with _open_raw(source, known, patience) as raw:
        if raw is None:
            yield None
            return
        head = b""
        with _unavailable():
            while len(head) < MAGIC_BYTES and (more := raw.stream.read(MAGIC_BYTES - len(head))):
                head += more
        name = urlsplit(source.uri).path if source.is_served else str(source.path)
        if name.endswith(".br") and compression(head) is None:
            from etl.source.formats import refuse_brotli

            refuse_brotli(name, head)
        yield Feed(Counted(raw.stream, head), compression(head), raw.size, raw.version, threads)


@contextmanager
def _open_raw(source: Source, known: Version | None, patience: Patience) -> Iterator[_Raw | None]:
    uri = source.uri
    try:
        scheme = source.scheme
    except ValueError:
        raise SourceUnavailable("it cannot be used (a file: ./NAME), and is not shown") from None
    if uri == "-":
        if sys.__stdin__ is None:  # closed from the start: its number may be anything by now
            raise SourceUnavailable("standard input is closed")
        with open(0, "rb", buffering=0, closefd=False) as stream:  # a forked child's sys.stdin is shut
            yield _Raw(stream, None)
    elif source.is_served:
        from etl.source.http import open_http

        with open_http(source, known, patience) as body:
            yield None if body is None else _Raw(body, body.version.size, body.version)
    elif source.path is not None:
        if scheme and urlsplit(uri).netloc not in ("", "localhost"):
            raise SourceUnavailable("a file's URL begins with file:///")
        if "\0" in str(source.path):
            raise SourceUnavailable("no file's name holds a NUL")
        with _unavailable():
            stream = source.path.open("rb", buffering=0)
        with stream:
            status = os.fstat(stream.fileno())
            yield _Raw(stream, status.st_size or None)
    else:
        raise SourceUnavailable(f"no way to read {scheme}:// sources")
