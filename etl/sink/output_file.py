"""A file that takes the place of an older one only once it is whole; or standard output, which cannot.

Until then the file has no name at all where the system knows such files (Linux, O_TMPFILE), so that nothing
is left of a run that is killed; elsewhere it has another one, `.deals.parquet.partial`, and the next run
overwrites it.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from etl.errors import DatabaseError, OutputClosed

STANDARD_OUTPUT = 1


def partial_path(path: Path) -> Path:
    """Return the name of a file until it takes the place of `path`, where files need a name."""
    return path.with_name(f".{path.name}.partial")


class Output(Protocol):
    """What bytes are written to, from beginning to end."""

    def write(self, data: bytes) -> None:
        """Write all of the data."""

    def put_in_place(self) -> None:
        """All is written: keep it, for good."""

    def close(self) -> None:
        """Leave nothing behind but what was put in place."""


class OutputFile:
    """A file that shall be `path`. Its errors are named by `refusals_named`."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self._path = path
        self._partial = partial_path(path)
        self._unnamed = False
        with self.refusals_named():
            self.file = self._opened()

    file: IO[bytes]
    """The file, open to be written and read."""

    def write(self, data: bytes) -> None:
        """Add data."""
        with self.refusals_named():
            self.file.write(data)

    def begin_again(self) -> IO[bytes]:
        """Begin another empty file in place of this one, which is returned and stays open."""
        before = self.file
        self.file = self._opened()
        return before

    def put_in_place(self) -> None:
        """Take the place of the older file, for good."""
        with self.refusals_named():
            self.file.flush()
            os.fsync(self.file.fileno())
            if self._unnamed:
                self._partial.unlink(missing_ok=True)
                descriptor = self.file.fileno()  # as a directory too, or else links are not followed
                os.link(f"/proc/self/fd/{descriptor}", self._partial, src_dir_fd=descriptor)
            os.replace(self._partial, self._path)
        self._unnamed = True

    def close(self) -> None:
        """Leave nothing behind but what was put in place."""
        with suppress(OSError):  # nobody needs what was not
            self.file.close()
        if not self._unnamed:
            self._partial.unlink(missing_ok=True)

    def _opened(self) -> IO[bytes]:
        flags = getattr(os, "O_TMPFILE", None)
        try:
            if flags is None:
                raise OSError(errno.EOPNOTSUPP, "no files without names")
            descriptor = os.open(self._path.parent, flags | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
            self._partial.unlink(missing_ok=True)
            descriptor = os.open(self._partial, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            self._unnamed = False
        else:
            self._unnamed = True
        return os.fdopen(descriptor, "w+b")

    @contextmanager
    def refusals_named(self) -> Iterator[None]:
        """Say of the system's refusals that they are of this file.

        Raises:
            DatabaseError: there was one.
        """
        try:
            yield
        except OSError as error:  # Arrow tells the number in its text only
            reason = error.strerror or str(error).rpartition("] ")[2]
            raise DatabaseError(f"{self._path}: {reason}") from None


class StandardOutput:
    """Standard output of the command, which takes rows as they come."""

    def write(self, data: bytes) -> None:
        """Write data, waiting for whoever reads it.

        Raises:
            OutputClosed: nobody reads it any more.
            DatabaseError: it cannot be written to.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(STANDARD_OUTPUT, left) :]
            except BlockingIOError:  # whoever shares the stream may have set it so
                select.select([], [STANDARD_OUTPUT], [])
            except BrokenPipeError:
                raise OutputClosed("standard output: nobody reads it any more") from None
            except OSError as error:
                raise DatabaseError(f"standard output: {error.strerror}") from None

    def put_in_place(self) -> None:
        """It is where it belongs already."""

    def close(self) -> None:
        """It is not ours to close."""


class Nowhere:
    """What a dry run writes to in place of standard output."""

    def write(self, data: bytes) -> None:
        """Write nothing."""

    def put_in_place(self) -> None:
        """There is nothing."""

    def close(self) -> None:
        """There is nothing."""
