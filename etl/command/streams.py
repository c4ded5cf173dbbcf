"""The standard streams, on which the result is told: telling it never changes it.

What is written to them is written or lost, and whoever wrote it goes on; whether something was lost is
asked at the end. Data that must not be lost goes to `data_output`.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import BinaryIO

_ERRORS = "etl.visible"
"""Names what becomes of characters that an encoding does not have."""

_PLAIN = {"“": '"', "”": '"', "…": "..."}
"""What stands for those that our own sentences use."""


class Stream(io.TextIOBase):
    """Text to a standard stream, at once; it can be written to whatever has become of the stream."""

    encoding = "utf-8"

    def __init__(self, descriptor: int, encoding: str) -> None:
        """Write to a descriptor, which is not closed in the end."""
        super().__init__()
        self._descriptor = descriptor
        self.encoding = encoding
        self._failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write a text, or as much of it as can be; what the encoding does not have is escaped."""
        data = memoryview(text.encode(self.encoding, _ERRORS))
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError as error:
            self._failure = self._failure or error
        return len(text)

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares the stream may have set it so
                select.select([], [self._descriptor], [])

    def failure(self) -> OSError | None:
        """Return what first went wrong since this was last asked, unless the reader has had enough."""
        failure, self._failure = self._failure, None
        return None if failure is None or failure.errno == errno.EPIPE else failure

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return True."""
        return True


def guard() -> None:
    """Make the standard streams fit to be written to.

    A stream that is closed gets the null device, lest a file that is opened later has its number: what is
    told would go into the file. `sys.__stdin__` and `sys.__stdout__` stay None then.
    """
    codecs.register_error(_ERRORS, _escape)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = Stream(1, getattr(sys.stdout, "encoding", "utf-8"))
    sys.stderr = Stream(2, getattr(sys.stderr, "encoding", "utf-8"))


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    escaped = (_PLAIN.get(c) or c.encode("unicode_escape").decode("ascii") for c in lost)
    return "".join(escaped), error.end


def output_failure() -> OSError | None:
    """Return what kept standard output from being written, if that is more than that nobody reads it."""
    return sys.stdout.failure() if isinstance(sys.stdout, Stream) else None


@contextlib.contextmanager
def data_output() -> Iterator[BinaryIO]:
    """Open standard output for data, every byte of which counts.

    Raises:
        OSError: it is closed, or cannot be written to.
    """
    if not isinstance(sys.stdout, Stream):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif sys.__stdout__ is None:
        raise OSError(errno.EBADF, "standard output is closed")
    else:
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            yield file
