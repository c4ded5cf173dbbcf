"""One run at a time: a lock that goes with the process that holds it, however that ends.

PostgreSQL keeps it with the session (an advisory lock, section 13.3.5 of its manual). On an SQLite file it
is a lock of the open file that the kernel keeps, on a byte far behind any that SQLite reads or locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from etl import ledger
from etl.errors import DatabaseError, LockHeld

WAIT_SECONDS = 0.5
"""How often a run that waits for the lock tries again."""

_LOCK_BYTE = 1 << 62

logger = logging.getLogger(__name__)


@contextmanager
def one_run(connection: sa.Connection, pipeline: str, wait: bool) -> Iterator[None]:
    """Hold the lock of a pipeline in a database; if another run has it, `wait` for its end.

    Raises:
        LockHeld: another run has it.
        DatabaseError: the database's file cannot be opened.
    """
    file = connection.engine.url.database
    if connection.dialect.name == "postgresql":
        with _session_lock(connection, pipeline) as attempt:
            _acquire(attempt, connection, pipeline, wait)
            yield
    elif file in (None, "", ":memory:"):  # nobody else has it
        yield
    else:
        _acquire(_file_lock(connection.engine, file), connection, pipeline, wait)
        yield


def _acquire(attempt: Callable[[], bool], connection: sa.Connection, pipeline: str, wait: bool) -> None:
    told = False
    while not attempt():
        if not told:
            holder = ledger.run_at_work(connection, pipeline)
            if not wait:
                raise LockHeld(f"another run is at work{holder}")
            logger.info("waiting for another run to end%s", holder)
            told = True
        time.sleep(WAIT_SECONDS)


@contextmanager
def _session_lock(connection: sa.Connection, pipeline: str) -> Iterator[Callable[[], bool]]:
    # Two schemas of one database are two databases to whoever uses them.
    name = sa.func.coalesce(sa.func.current_schema(), "") + f".etl.{pipeline}"
    key = sa.func.hashtextextended(name, 0)

    def attempt() -> bool:
        acquired: bool = connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one()
        connection.rollback()  # the lock is the session's; no transaction shall stay open with it
        return acquired

    try:
        yield attempt
    finally:
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # a session that broke has let it go
            connection.rollback()
            connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
            connection.rollback()


def _file_lock(engine: sa.Engine, path: str) -> Callable[[], bool]:
    # What SQLite holds are locks of the process, and it lets go of all of them at once; a lock of the open
    # file is not among them (fcntl(2), "Open file description locks"). Python knows these on Linux only:
    # elsewhere a file beside the database is locked as a whole, and stays there.
    command = getattr(fcntl, "F_OFD_SETLK", None)
    try:
        file = os.open(path if command else f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DatabaseError(f"database: opening: {path}: {error.strerror}") from None
    # To close the file, as any other of the same, ends SQLite's own locks: it has to be done with it.
    sa.event.listen(engine, "engine_disposed", lambda _engine: os.close(file))

    def attempt() -> bool:
        try:
            if command:
                whole = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BYTE, 1, 0)
                fcntl.fcntl(file, command, whole)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of the two, systems differ
            return False
        return True

    return attempt
