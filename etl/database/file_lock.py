"""The lock of an SQLite file: one of the open file that the kernel keeps, or one of a file beside it.

It lies on a byte far behind any that SQLite reads or locks, can be had before there is a connection, and
goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from etl.errors import DatabaseError

_LOCK_BYTE = 1 << 62

_SET: int | None = getattr(fcntl, "F_OFD_SETLK", None)
_GET: int = getattr(fcntl, "F_OFD_GETLK", 0)

_HELD = {errno.EAGAIN, errno.EACCES}
"""What it is called that somebody else has the lock: systems differ."""

_LACKING = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What systems say that do not know locks of open files."""


class FileLock:
    """The lock of an SQLite file.

    What SQLite holds are locks of the process, and it lets go of all of them at once; a lock of the open
    file is not among them (fcntl(2), "Open file description locks"). Python knows these on Linux only, and
    not every kernel and file system has them: where there are none, a file beside the database, NAME.lock,
    is locked as a whole (flock(2)), and stays there. A crash leaves neither of the two locks held.
    """

    def __init__(self, path: str) -> None:
        """Open the file; one that is not there comes to be.

        Raises:
            OSError: it cannot be opened.
        """
        self.path = path
        self._companion = f"{os.path.realpath(path)}.lock"  # of all links to it, the same
        self._files: list[int] = []
        if _SET is not None:
            self._open(path)

    def attempt(self) -> bool:
        """Take the lock, if it is free; say whether it was.

        Raises:
            DatabaseError: there is no lock to be had here.
        """
        if _SET is not None and len(self._files) == 1:
            try:
                fcntl.fcntl(self._files[0], _SET, _byte())
                return True
            except OSError as error:
                if error.errno in _HELD:
                    return False
                if error.errno not in _LACKING:
                    raise self._refused(self.path, error) from None
                self._insist_on_lack(error)
        try:
            if len(self._files) < (1 if _SET is None else 2):
                self._open(self._companion)
        except OSError as error:
            raise self._refused(self._companion, error) from None
        try:
            fcntl.flock(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise self._refused(self._companion, error) from None
        return True

    def close(self) -> None:
        """Let go of the lock; as this ends SQLite's own locks too, SQLite has to be done with the file."""
        while self._files:
            os.close(self._files.pop())

    def _open(self, path: str) -> None:
        self._files.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))

    def _insist_on_lack(self, refused: OSError) -> None:
        """See that locks are lacking for everybody, not just now for us: else two kinds might be held.

        Raises:
            DatabaseError: they are there, but the system has no room for another one.
        """
        try:
            fcntl.fcntl(self._files[0], _GET, _byte())
        except OSError as error:
            if error.errno in _LACKING:
                return
        raise self._refused(self.path, refused)

    def _refused(self, path: str, error: OSError) -> DatabaseError:
        return DatabaseError(
            f"database: {path} cannot be locked, so that two runs at once would not know of each other:"
            f" {error.strerror}; the file system must have locks, and the folder be writable"
        )


def _byte() -> bytes:
    """Return what fcntl(2) is told of the byte that is locked."""
    return struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BYTE, 1, 0)
