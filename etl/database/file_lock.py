"""One run at a time: a lock that goes with the process that holds it, however that ends.

PostgreSQL keeps it with a transaction (an advisory lock, section 13.3.5 of its manual): behind a pooler a
session is nobody's own, but a transaction is. On an SQLite file it is a lock of the open file that the
kernel keeps, on a byte far behind any that SQLite reads or locks, or one of a file beside it; it can be had
before there is a connection.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from etl.database.sqlite import address_of, file_of_engine
from etl.errors import DatabaseError, LockHeld

if TYPE_CHECKING:  # they take long to import
    import sqlalchemy as sa

WAIT_SECONDS = 0.5
"""How often a run that waits for the lock tries again."""

_LOCK_BYTE = 1 << 62

_SET: int | None = getattr(fcntl, "F_OFD_SETLK", None)
_GET: int = getattr(fcntl, "F_OFD_GETLK", 0)

_HELD = {errno.EAGAIN, errno.EACCES}
"""What it is called that somebody else has the lock: systems differ."""

_LACKING = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What systems say that do not know locks of open files."""

logger = logging.getLogger(__name__)


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


def lock_early(url: str) -> FileLock | None:
    """Take the lock of the database of a URL, where that needs no connection and no waiting.

    Raises:
        DatabaseError: there is no lock to be had there.
    """
    address = address_of(url)
    if address is None or address.file is None or address.query:  # or as SQLite will open it
        return None
    try:
        lock = FileLock(address.file)
    except OSError:  # as SQLite will say
        return None
    try:
        taken = lock.attempt()
    except DatabaseError:
        lock.close()
        raise
    if taken:
        return lock
    lock.close()
    return None


def take_lock(
    connection: sa.Connection,
    pipeline: str,
    wait: bool,
    held: FileLock | None = None,
    run_id: int | None = None,
) -> FileLock | None:
    """Take the lock of a pipeline in a database; if another run has it, `wait` for its end.

    On PostgreSQL a transaction begins, and the lock ends with it. On SQLite the lock is returned, which
    ends with the engine, unless it is `held` already. `run_id` is this run's, if it has one.

    Raises:
        LockHeld: another run has it.
        DatabaseError: the database's file cannot be opened.
    """
    file = file_of_engine(connection.engine)
    if connection.dialect.name == "postgresql":
        _acquire(partial(_begin_locked, connection, pipeline), connection, pipeline, wait, run_id)
        return None
    if file is None or (held is not None and held.path == file):
        return held  # nobody else has it
    lock = _file_lock(connection.engine, file)
    _acquire(lock.attempt, connection, pipeline, wait, run_id)
    return lock


def _acquire(
    attempt: Callable[[], bool], connection: sa.Connection, pipeline: str, wait: bool, run_id: int | None
) -> None:
    from etl.ledger import runs as ledger

    told = False
    while not attempt():
        if not told:
            holder = ledger.run_at_work(connection, pipeline, run_id)
            if not wait:
                raise LockHeld(f"another run is at work{holder}")
            logger.info("waiting for another run to end%s", holder)
            told = True
        time.sleep(WAIT_SECONDS)


def _begin_locked(connection: sa.Connection, pipeline: str) -> bool:
    """Begin a transaction that holds the lock of a pipeline, if it is free; say whether it was."""
    import sqlalchemy as sa

    from etl.database.schema import namespace_of

    transaction = connection.begin()
    # Two schemas of one database are two databases to whoever uses them.
    key = sa.func.hashtextextended(f"{namespace_of(connection)}.etl.{pipeline}", 0)
    acquired: bool = connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(key))).scalar_one()
    if not acquired:
        transaction.rollback()
    return acquired


def _file_lock(engine: sa.Engine, path: str) -> FileLock:
    from sqlalchemy import event

    try:
        lock = FileLock(path)
    except OSError as error:
        raise DatabaseError(f"database: opening: {path}: {error.strerror}") from None
    event.listen(engine, "engine_disposed", lambda _engine: lock.close())
    return lock
