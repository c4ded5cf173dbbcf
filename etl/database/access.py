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

from etl import temporary
from etl.database import refusals, sqlite, urls
from etl.database.schema import NAMESPACE, Schema, prepare, version_of
from etl.database.target import Target
from etl.errors import ConfigurationError, ConnectionLost, DatabaseError
from etl.redaction import secrets_of, without

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

_SCHEMA_HERE = sa.text(
    """
    SELECT coalesce(:schema, (
        SELECT name FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
        WHERE NOT starts_with(name, 'pg_temp_') ORDER BY place LIMIT 1
    ))
    """
)
"""The first schema of the search path that there is; one of temporary tables may be named there too."""

_SETTINGS = sa.text(
    """
    SELECT set_config('search_path', quote_ident(:schema) || ', pg_temp', true),
           set_config('TimeZone', 'UTC', true),
           CASE current_setting('lock_timeout')
               WHEN '0' THEN set_config('lock_timeout', :patience, true)
           END,
           (SELECT count(set_config(name, '0', true)) FROM pg_settings
            WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout'))
    """
)
"""What every transaction on PostgreSQL sets for itself.

Temporary tables come last: by themselves they would hide ours. A run's transaction is idle while its feed
has nothing for it, and then holds nothing back, so no timeout shall end it.
"""


class _ClosedAtOnce(exc.SQLAlchemyError):
    """The connection was closed at its first transaction: PgBouncer says why, but libpq does not."""


def open_engine(target: Target, read_only: bool = False) -> sa.Engine:
    """Return an engine for a database; one that is `read_only` cannot write to it.

    On PostgreSQL every transaction sets for itself what it needs: behind a pooler in transaction mode the
    next one may be another session's, and the last one was somebody else's.

    Raises:
        ConfigurationError: not a URL, or of a database that is not supported.
        DatabaseError: a relative path, and the working directory is gone.
    """
    if sqlite.address_of(target.url) is None:
        return _postgresql_engine(target, read_only)
    address = sqlite.check(target.url, writes=False, lasting=False)
    arguments = {} if "timeout" in address.query else {"timeout": sqlite.BUSY_SECONDS}
    parsed = sa.URL.create("sqlite", database=address.name, query=address.query)
    try:
        if read_only and address.file is not None:
            engine = sa.create_engine(parsed, creator=partial(sqlite.connect_to_read, target.url))
        else:
            engine = sa.create_engine(parsed, connect_args=arguments)
    except OSError as error:  # which SQLAlchemy makes the file's path absolute with
        raise DatabaseError(f"database: the working directory cannot be used: {error.strerror}") from None
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


def _postgresql_engine(target: Target, read_only: bool) -> sa.Engine:
    urls.check(target.url)
    known = _POSTGRESQL | {"application_name": _application_name()}
    try:
        if urls.has_several_hosts(target.url):
            parsed = sa.URL.create("postgresql+psycopg2")
            arguments = known | urls.libpq_parameters(target.url)
        else:
            parsed = sa.make_url(target.url).set(drivername="postgresql+psycopg2")
            arguments = {name: value for name, value in known.items() if name not in parsed.query}
        arguments["client_encoding"] = "utf8"
        engine = sa.create_engine(parsed, connect_args=arguments)
    except (exc.ArgumentError, ValueError, ImportError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {type(error).__name__}") from None
    _hide_secrets(engine, target.url)
    _set_in_transactions(engine, target.schema, read_only)
    return engine


def _hide_secrets(engine: sa.Engine, url: str) -> None:
    """Have no error of the driver say what must not be shown of the URL, as libpq would."""
    secrets = secrets_of(url)

    @sa.event.listens_for(engine, "handle_error")
    def _hide(context: sa.ExceptionContext) -> None:
        error = context.original_exception
        error.args = tuple(without(said, secrets) if isinstance(said, str) else said for said in error.args)


def _application_name() -> str:
    """Return what the server shows of this session, and who holds a lock: at most 63 bytes."""
    return f"sluice-etl ({socket.gethostname()[:32]}, process {os.getpid()})"


def _set_in_transactions(engine: sa.Engine, schema: str | None, read_only: bool) -> None:
    """Have every transaction on PostgreSQL set what it needs; and see that all text can be kept."""

    @sa.event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy asks anything
    def _connect(connection: Any, _record: Any) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW server_encoding")
                (encoding,) = cursor.fetchone()
            connection.rollback()
        except engine.dialect.loaded_dbapi.OperationalError:
            if not connection.closed:
                raise
            raise _ClosedAtOnce from None
        if encoding != "UTF8":
            raise ConfigurationError(f"the database's encoding is {encoding}, but text needs UTF8")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if read_only:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        here = connection.execute(_SCHEMA_HERE, {"schema": schema}).scalar_one()
        if here is None:
            raise ConfigurationError(
                "the search path of this database role names no schema that there is:"
                " name one with --schema"
            )
        connection.execute(_SETTINGS, {"schema": here, "patience": _LOCK_TIMEOUT})
        connection.info[NAMESPACE] = here


def _make_transactional(engine: sa.Engine) -> None:
    """Begin transactions ourselves: sqlite3 does not by itself begin one before DDL.

    As SQLAlchemy's documentation advises for SQLite ("Serializable isolation, savepoints and
    transactional DDL").
    """

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
        told = temporary.what_is_full(sqlite.file_of_engine(engine))  # what was written is soon rolled back
        if told is not None:
            error.add_note(told)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def writing(connection: sa.Connection) -> Iterator[sa.RootTransaction]:
    """Begin a transaction that writes to what others write to as well, or go on with the one that is open.

    It is committed at the end. On SQLite it takes its lock at once: a transaction that has read, and then
    wants to write while another does, is refused without waiting.
    """
    if (begun := connection.get_transaction()) is not None:
        with begun:
            yield begun
        return
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
    except _ClosedAtOnce:
        raise ConnectionLost(
            f"database: {doing}: the connection was closed at its first transaction; if that is what a"
            " pooler in statement mode does, connect to the server itself, or to a pooler in session or"
            " transaction mode"
        ) from None
    except exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "pgcode", None)
        lost = getattr(error, "connection_invalidated", False) or _AGAIN.match(str(code))
        kind = ConnectionLost if lost or _is_refused(cause) else DatabaseError
        raise kind(f"database: {doing}: {refusals.named(cause)}") from None


def _is_refused(cause: BaseException) -> bool:
    """Say whether a PostgreSQL server could not be reached, or hung up: then there is no SQLSTATE."""
    return type(cause).__name__ == "OperationalError" and getattr(cause, "pgcode", "") is None


def is_missing(engine: sa.Engine) -> bool:
    """Say whether the database is an SQLite file that is not there (connecting would create it)."""
    file = sqlite.file_of_engine(engine)
    return file is not None and not Path(file).exists()


@contextmanager
def transaction(target: Target, schema: Schema, *, must_exist: bool = False) -> Iterator[sa.Connection]:
    """Open a database for one transaction that writes; tables that are not there are created.

    Raises:
        ConfigurationError: as `open_engine` and `prepare`.
        DatabaseError: the database refuses.
    """
    urls.check(target.url)
    engine = open_engine(target)
    if must_exist and is_missing(engine):
        raise DatabaseError(f"database: there is no file {engine.url.database}")
    try:
        with errors_named("opening"), engine.connect() as connection, writing(connection):
            prepare(connection, schema)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading(target: Target, schema: Schema, *, must_exist: bool = True) -> Iterator[sa.Connection | None]:
    """Open a database for one transaction that cannot write; None where the tables are not there.

    Raises:
        ConfigurationError: as `open_engine` and `version_of`.
        DatabaseError: the database refuses, or is a file that is not there.
    """
    urls.check(target.url, writes=False, lasting=must_exist)
    engine = open_engine(target, read_only=True)
    if is_missing(engine):
        if must_exist:
            raise DatabaseError(f"database: there is no file {engine.url.database}")
        yield None
        return
    try:
        with errors_named("reading"), engine.connect() as connection, connection.begin():
            yield connection if version_of(connection, schema) is not None else None
    finally:
        engine.dispose()
