"""A URI becomes a stream of decompressed bytes, and an end of it that can be trusted.

Compression is told by magic bytes, never by name. Decompression is pyarrow's `CompressedInputStream`:
it raises on a stream that is cut short, on a bad checksum and on junk after the end, and it reads files
of several frames and zstd windows up to 128 MiB (`--long=27`). Over HTTP the body must have the length
that was announced.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from etl.errors import DataError, EtlError, SourceUnavailable, TruncatedFeed

_MAGIC = (
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), "zstd"),  # RFC 8878, 3.1
    (re.compile(rb"\x1f\x8b"), "gzip"),  # RFC 1952, 2.3.1
    (re.compile(rb"BZh[1-9]"), "bz2"),
    (re.compile(rb"\x04\x22\x4d\x18"), "lz4"),  # the LZ4 frame format
)
MAGIC_BYTES = 4

CONNECT_SECONDS = 30
READ_SECONDS = 60


def compression(head: bytes) -> str | None:
    """Return the codec that a stream begins with by its magic bytes, or None for plain."""
    for magic, name in _MAGIC:
        if magic.match(head):
            return name
    return None


def redacted(uri: str) -> str:
    """Return a URI fit to be shown: without user, password, query and fragment."""
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@contextmanager
def errors_named(uri: str) -> Iterator[None]:
    """Put the source's name before what went wrong with it.

    Raises:
        DataError, SourceUnavailable: as they came.
    """
    try:
        yield
    except (DataError, SourceUnavailable) as error:
        raise type(error)(f"{redacted(uri)}: {error.message}") from None


class RawStream(Protocol):
    """Bytes as they are stored or sent."""

    def read(self, size: int = -1, /) -> bytes:
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

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
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


class Feed:
    """An open source: decompressed bytes, in order, and how far it has come."""

    def __init__(self, raw: Counted, codec: str | None, size: int | None) -> None:
        self.codec = codec
        self.size = size
        """Compressed bytes in all, where that is known."""
        self._raw = raw
        self._returned = b""
        self._position = 0
        if codec is None:
            self._stream: io.RawIOBase = raw
        else:
            import pyarrow

            self._stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), codec)

    @property
    def bytes_read(self) -> int:
        """Compressed bytes read so far."""
        return self._raw.bytes_read

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the stream goes; less than its length only at the end.

        Raises:
            TruncatedFeed: the compressed stream ends early or is damaged.
            SourceUnavailable: the source fails.
        """
        filled = 0
        while filled < len(buffer):
            if self._position < len(self._returned):
                part = self._returned[self._position : self._position + len(buffer) - filled]
                buffer[filled : filled + len(part)] = part
                self._position += len(part)
                filled += len(part)
                continue
            count = self._readinto(buffer[filled:])
            if not count:
                break
            filled += count
        return filled

    def put_back(self, data: bytes) -> None:
        """Make `data` the next bytes that are read."""
        self._returned = data + self._returned[self._position :]
        self._position = 0

    def _readinto(self, buffer: memoryview) -> int:
        try:
            return self._stream.readinto(buffer) or 0
        except EtlError:
            raise
        except OSError as error:
            raise TruncatedFeed(
                f"the {self.codec} stream is truncated or damaged, after {self.bytes_read:,}"
                f" compressed bytes: {_first_line(error)}"
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def open_feed(uri: str) -> Iterator[Feed]:
    """Open a path, `-` for standard input, or an http(s) URL.

    Raises:
        SourceUnavailable: it cannot be opened.
    """
    with _open_raw(uri) as (stream, size):
        head = b""
        with _unavailable():
            while len(head) < MAGIC_BYTES and (more := stream.read(MAGIC_BYTES - len(head))):
                head += more
        yield Feed(Counted(stream, head), compression(head), size)


@contextmanager
def _open_raw(uri: str) -> Iterator[tuple[RawStream, int | None]]:
    try:
        scheme = urlsplit(uri).scheme if "://" in uri else ""
    except ValueError:
        raise SourceUnavailable("not a URL") from None
    if uri == "-":
        if sys.__stdin__ is None:  # closed from the start: its number may be anything by now
            raise SourceUnavailable("standard input is closed")
        with open(0, "rb", buffering=0, closefd=False) as stream:  # a forked child's sys.stdin is shut
            yield stream, None
    elif scheme in ("http", "https"):
        with _open_http(uri) as opened:
            yield opened
    elif scheme in ("", "file"):
        path = Path(unquote(urlsplit(uri).path) if scheme else uri)
        with _unavailable():
            stream = path.open("rb", buffering=0)
        with stream:
            status = os.fstat(stream.fileno())
            yield stream, status.st_size or None
    else:
        raise SourceUnavailable(f"no way to read {scheme}:// sources")


class _Body:
    """An HTTP response's body; ends only where it was announced to end."""

    def __init__(self, response: object, size: int | None) -> None:
        self._response = response
        self._size = size
        self._received = 0

    def read(self, size: int = -1, /) -> bytes:
        import urllib3

        try:
            data: bytes = self._response.read(size)  # type: ignore[attr-defined]
        except urllib3.exceptions.IncompleteRead:
            data = b""
        except urllib3.exceptions.HTTPError as error:
            raise SourceUnavailable(
                f"the transfer broke after {self._received:,} bytes: {type(error).__name__}"
            ) from None
        self._received += len(data)
        if not data and self._size is not None and self._received < self._size:
            raise TruncatedFeed(f"the transfer ended after {self._received:,} of {self._size:,} bytes")
        return data


@contextmanager
def _open_http(url: str) -> Iterator[tuple[RawStream, int | None]]:
    import urllib3

    retries = urllib3.Retry(connect=3, read=0, redirect=5, status=0, other=0, backoff_factor=0.2)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    with urllib3.PoolManager(timeout=timeout, retries=retries) as pool:
        try:
            response = pool.request(
                "GET", url, preload_content=False, decode_content=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "sluice-etl"},
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise SourceUnavailable(_http_reason(error)) from None
        try:
            if response.status != 200:
                raise SourceUnavailable(f"HTTP status {response.status} {response.reason}")
            length = response.headers.get("Content-Length", "")
            size = int(length) if length.isdigit() else None
            yield _Body(response, size), size
        finally:
            response.close()


def _http_reason(error: Exception) -> str:
    """Return why a request failed, without the URL that urllib3 puts into its messages."""
    cause = getattr(error, "reason", None) or error
    text = str(cause).rpartition(": ")[2]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__
