"""One run at a time: a lock that goes with the process that holds it, however that ends.

PostgreSQL keeps it with a transaction (an advisory lock, section 13.3.5 of its manual): behind a pooler a
session is nobody's own, but a transaction is. On an SQLite file it is a lock of the open file that the
kernel keeps, on a byte far behind any that SQLite reads or locks; it can be had before any connection.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import DatabaseError, LockHeld

if TYPE_CHECKING:  # they take long to import
    import sqlalchemy as sa

WAIT_SECONDS = 0.5
"""How often a run that waits for the lock tries again."""

_LOCK_BYTE = 1 << 62

_PLAIN_URL = re.compile(r"sqlite(?:\+pysqlite)?:///(?!:memory:)([^?]+)")
"""Of an SQLite file, as SQLAlchemy reads it."""

logger = logging.getLogger(__name__)


class FileLock:
    """The lock of an SQLite file.

    What SQLite holds are locks of the process, and it lets go of all of them at once; a lock of the open
    file is not among them (fcntl(2), "Open file description locks"). Python knows these on Linux only:
    elsewhere a file beside the database is locked as a whole, and stays there.
    """

    def __init__(self, path: str) -> None:
        """Open the file; one that is not there comes to be.

        Raises:
            OSError: it cannot be opened.
        """
        self.path = path
        self._command = getattr(fcntl, "F_OFD_SETLK", None)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(path if self._command else f"{path}.lock", flags, 0o666)

    def attempt(self) -> bool:
        """Take the lock, if it is free; say whether it was."""
        try:
            if self._command:
                whole = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BYTE, 1, 0)
                fcntl.fcntl(self._file, self._command, whole)
            else:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of the two, systems differ
            return False
        return True

    def close(self) -> None:
        """Let go of the lock; as this ends SQLite's own locks too, SQLite has to be done with the file."""
        os.close(self._file)


def lock_early(url: str) -> FileLock | None:
    """Take the lock of the database of a URL, where that needs no connection and no waiting."""
    match = _PLAIN_URL.fullmatch(url)
    if match is None:
        return None
    try:
        lock = FileLock(match[1])
    except OSError:  # as SQLite will say
        return None
    if lock.attempt():
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
    file = connection.engine.url.database
    if connection.dialect.name == "postgresql":
        _acquire(partial(_begin_locked, connection, pipeline), connection, pipeline, wait, run_id)
        return None
    if file in (None, "", ":memory:") or (held is not None and held.path == file):
        return held  # nobody else has it
    lock = _file_lock(connection.engine, file)
    _acquire(lock.attempt, connection, pipeline, wait, run_id)
    return lock


def _acquire(
    attempt: Callable[[], bool], connection: sa.Connection, pipeline: str, wait: bool, run_id: int | None
) -> None:
    from etl import ledger

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

    from etl.schema import namespace_of

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
