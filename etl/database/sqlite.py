"""SQLite: its engine, its lock and the way rows go in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl import temporary
from etl.database import sqlite_urls
from etl.database.database import Database, Lock
from etl.database.file_lock import FileLock
from etl.database.sqlite_files import connect_to_copy, connect_to_read
from etl.errors import DatabaseError
from etl.file_kinds import FileKind

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.database.staging import StagingTable

BEGIN = "sqlite_begin"
"""The execution option of a connection that holds the statement that begins its transactions."""

SQLITE_FILE = FileKind("an SQLite database", re.compile(rb"SQLite format 3\0"), may_replace=False)


class SQLite(Database):
    """An SQLite database: a file, most often."""

    holds_nul = True
    loads_by = "bulk inserts"
    reconnects = False
    file_kind = SQLITE_FILE

    @property
    def address(self) -> sqlite_urls.Address:
        """What the URL says."""
        address = sqlite_urls.address_of(self.url)
        assert address is not None
        return address

    @property
    def file(self) -> str | None:
        """The file; None for a database in memory, a temporary one, or a URL that cannot be used."""
        return self.address.file

    @property
    def files_beside(self) -> Sequence[str]:
        """Its journals, and the file that is locked where open files have no locks."""
        file = self.file
        return [] if file is None else [f"{file}{end}" for end in ("-journal", "-wal", "-shm", ".lock")]

    def check(self, *, writes: bool = True, lasting: bool = True) -> None:
        """As the base class says."""
        sqlite_urls.check(self.url, writes=writes, lasting=lasting)

    def engine(self, read_only: bool = False) -> sa.Engine:
        """As the base class says."""
        import sqlalchemy as sa

        address = sqlite_urls.check(self.url, writes=False, lasting=False)
        arguments = {} if "timeout" in address.query else {"timeout": sqlite_urls.BUSY_SECONDS}
        parsed = sa.URL.create("sqlite", database=address.name, query=address.query)
        try:
            if read_only and address.file is not None:
                engine = sa.create_engine(parsed, creator=partial(connect_to_read, self.url))
            else:
                engine = sa.create_engine(parsed, connect_args=arguments)
        except OSError as error:  # which SQLAlchemy makes the file's path absolute with
            reason = f"the working directory cannot be used: {error.strerror}"
            raise DatabaseError(f"database: {reason}") from None
        _make_transactional(engine, address.file)
        return engine

    def rehearsed(self) -> Database:
        """A dry run works on a copy: a transaction on the file itself would keep others from writing."""
        return SQLiteCopy(self.url, self.schema)

    def missing_file(self) -> str | None:
        """As the base class says."""
        address = self.address
        return address.name if address.file is not None and not Path(address.file).exists() else None

    def early_lock(self) -> Lock | None:
        """As the base class says."""
        address = self.address
        if address.file is None or address.query:  # or as SQLite will open it
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

    def lock(self, connection: sa.Connection, pipeline: str, held: Lock | None = None) -> Lock | None:
        """Return the lock of the file, whatever the pipeline; it ends with the engine."""
        from sqlalchemy import event

        file = self.file
        if file is None or (isinstance(held, FileLock) and held.path == file):
            return None
        try:
            lock = FileLock(file)
        except OSError as error:
            raise DatabaseError(f"database: opening: {file}: {error.strerror}") from None
        event.listen(connection.engine, "engine_disposed", lambda _engine: lock.close())
        return lock

    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows as MessagePack."""
        import msgspec

        return msgspec.msgpack.encode(rows)

    def staging_table(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int | None, maker: str
    ) -> StagingTable:
        """As the base class says."""
        from etl.database.bulk_inserts import BulkInserts

        # Of 100 to 20,000, the fastest (`python -m bench micro`).
        return BulkInserts(connection, like, batch_rows or 1000, maker)


class SQLiteCopy(SQLite):
    """A copy of an SQLite database: what is written there, nobody else ever sees.

    The copy is made by the first connection, and ends with the engine's disposal.
    """

    def engine(self, read_only: bool = False) -> sa.Engine:
        """As the base class says."""
        import sqlalchemy as sa

        sqlite_urls.check(self.url, writes=False, lasting=False)
        copy = partial(connect_to_copy, self.url)
        engine = sa.create_engine("sqlite://", creator=copy, poolclass=sa.StaticPool)
        _make_transactional(engine, None)
        return engine

    def lock(self, connection: sa.Connection, pipeline: str, held: Lock | None = None) -> Lock | None:
        """Nobody else can have it."""
        return None


def _make_transactional(engine: sa.Engine, file: str | None) -> None:
    """Begin transactions ourselves: sqlite3 does not by itself begin one before DDL.

    As SQLAlchemy's documentation advises for SQLite ("Serializable isolation, savepoints and
    transactional DDL").
    """
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        if (folder := temporary.chosen()) is not None and folder.isprintable():
            quoted = folder.replace("'", "''")
            connection.execute(f"PRAGMA temp_store_directory = '{quoted}'")

    @sa.event.listens_for(engine, "handle_error")
    def _note(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        name = getattr(error, "sqlite_errorname", None) or ""
        if not name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return
        told = temporary.what_is_full(file)  # what was written is soon rolled back
        if told is not None:
            error.add_note(told)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))
