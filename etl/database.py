"""The database as it has to be opened: one engine, made in the process that uses it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from etl import sqlite
from etl.errors import ConfigurationError, ConnectionLost, DatabaseError
from etl.schema import Schema, prepare

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of keys that the database numbers; SQLite numbers INTEGER keys only."""

_BEGIN = "sqlite_begin"
"""The execution option that holds SQLite's statement for it."""

_POSTGRESQL = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""What libpq is told unless the URL says otherwise: a server that is gone is noticed within a minute."""

_AGAIN = re.compile("08|57P0[123]|40001|40P01")
"""SQLSTATEs of lost connections, servers that stop or start, and conflicts with other sessions."""

_LOCK_TIMEOUT = "60s"
"""How long to wait for a lock on a table, unless the role, the database or the URL says otherwise."""


def open_engine(url: str, *, read_only: bool = False) -> sa.Engine:
    """Return an engine for a SQLAlchemy URL; a `read_only` one can change nothing in an SQLite file.

    Raises:
        ConfigurationError: not a URL, or of a database that is not supported.
    """
    if sqlite.address_of(url) is None:
        return _postgresql_engine(url)
    address = sqlite.check(url, writes=False, lasting=False)
    arguments = {} if "timeout" in address.query else {"timeout": sqlite.BUSY_SECONDS}
    parsed = sa.URL.create("sqlite", database=address.name, query=address.query)
    if read_only and address.file is not None:
        engine = sa.create_engine(parsed, creator=partial(sqlite.connect_to_read, url))
    else:
        engine = sa.create_engine(parsed, connect_args=arguments)
    _make_transactional(engine)
    return engine


def open_copy(url: str) -> sa.Engine:
    """Return an engine for a copy of an SQLite database: what is written there, nobody else ever sees.

    The copy is made by the first connection, and ends with the engine's disposal.

    Raises:
        ConfigurationError: the URL is not SQLite's, or cannot be used.
    """
    sqlite.check(url, writes=False, lasting=False)
    copy = partial(sqlite.connect_to_copy, url)
    engine = sa.create_engine("sqlite://", creator=copy, poolclass=sa.StaticPool)
    _make_transactional(engine)
    return engine


def _postgresql_engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):  # which driver that means has changed
            parsed = parsed.set(drivername="postgresql+psycopg2")
        arguments: dict[str, Any] = {}
        if parsed.drivername == "postgresql+psycopg2":
            known = _POSTGRESQL | {"application_name": _application_name()}
            arguments = {name: value for name, value in known.items() if name not in parsed.query}
            arguments["client_encoding"] = "utf8"
        engine = sa.create_engine(parsed, connect_args=arguments)
    except exc.NoSuchModuleError:
        raise ConfigurationError("the database URL names a database that is not supported") from None
    except (exc.ArgumentError, ValueError, ImportError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {type(error).__name__}") from None
    if engine.dialect.name != "postgresql":
        raise ConfigurationError(f"{engine.dialect.name} is not supported: use SQLite or PostgreSQL")
    if engine.dialect.driver == "psycopg2":
        _make_patient(engine)
    return engine


def _application_name() -> str:
    """Return what the server shows of this session, and who holds a lock: at most 63 bytes."""
    return f"sluice-etl ({socket.gethostname()[:32]}, process {os.getpid()})"


def _make_patient(engine: sa.Engine) -> None:
    """Bound the wait for locks, where nobody has; and see that all text can be kept."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = '0'",
                (_LOCK_TIMEOUT,),
            )
            cursor.execute("SET TIME ZONE 'UTC'")  # as SQLite tells them
            cursor.execute("SHOW server_encoding")
            (encoding,) = cursor.fetchone()
        connection.commit()
        if encoding != "UTF8":
            raise ConfigurationError(f"the database's encoding is {encoding}, but text needs UTF8")


def _make_transactional(engine: sa.Engine) -> None:
    """Begin transactions ourselves: sqlite3 does not by itself begin one before DDL.

    As SQLAlchemy's documentation advises for SQLite ("Serializable isolation, savepoints and
    transactional DDL").
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def writing(connection: sa.Connection) -> Iterator[sa.RootTransaction]:
    """Begin a transaction that writes to what others write to as well.

    On SQLite it takes its lock at once: a transaction that has read, and then wants to write while another
    does, is refused without waiting.
    """
    connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
    try:
        with connection.begin() as transaction:
            yield transaction
    finally:
        connection.execution_options(**{_BEGIN: "BEGIN"})


@contextmanager
def errors_named(doing: str) -> Iterator[None]:
    """Turn the driver's errors into one line that holds no values.

    Raises:
        DatabaseError: with the SQLSTATE (PostgreSQL) or SQLite's error name.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "pgcode", None) or getattr(cause, "sqlite_errorname", None)
        text = _safe_text(cause) if code is None or str(code).startswith("SQLITE") else ""
        detail = " ".join(filter(None, [type(cause).__name__, code and f"({code})", text]))
        lost = getattr(error, "connection_invalidated", False) or _AGAIN.match(str(code))
        kind = ConnectionLost if lost or _is_refused(cause) else DatabaseError
        raise kind(f"database: {doing}: {detail}") from None


def _is_refused(cause: BaseException) -> bool:
    """Say whether a PostgreSQL server could not be reached, or hung up: then there is no SQLSTATE."""
    return type(cause).__name__ == "OperationalError" and getattr(cause, "pgcode", "") is None


def _safe_text(cause: BaseException) -> str:
    """Return the message of SQLite's own errors and of refused connections, which hold no values."""
    first = str(cause).strip().splitlines()
    return first[0] if first else ""


def is_missing(engine: sa.Engine) -> bool:
    """Say whether the database is an SQLite file that is not there (connecting would create it)."""
    file = sqlite.file_of_engine(engine)
    return file is not None and not Path(file).exists()


@contextmanager
def transaction(
    url: str, schema: Schema, *, writes: bool = True, must_exist: bool = False
) -> Iterator[sa.Connection]:
    """Open a database that has certain tables (they are created if not), for one transaction.

    Raises:
        ConfigurationError: as `open_engine` and `prepare`.
        DatabaseError: the database refuses.
    """
    if sqlite.address_of(url) is not None:
        sqlite.check(url, writes=writes)
    engine = open_engine(url)
    if must_exist and is_missing(engine):
        raise DatabaseError(f"database: there is no file {engine.url.database}")
    try:
        with (
            errors_named("opening"),
            engine.connect() as connection,
            writing(connection) if writes else connection.begin(),
        ):
            prepare(connection, schema)
            yield connection
    finally:
        engine.dispose()
