"""The database as it has to be opened: one engine, made in the process that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from etl.errors import ConfigurationError, DatabaseError

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of keys that the database numbers; SQLite numbers INTEGER keys only."""

BUSY_SECONDS = 30
"""How long to wait for another writer of an SQLite file."""


def open_engine(url: str) -> sa.Engine:
    """Return an engine for a SQLAlchemy URL.

    Raises:
        ConfigurationError: not a URL, or of a database that is not supported.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):  # which driver that means has changed
            parsed = parsed.set(drivername="postgresql+psycopg2")
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": BUSY_SECONDS}
        engine = sa.create_engine(parsed, **options)
    except exc.NoSuchModuleError:
        raise ConfigurationError("the database URL names a database that is not supported") from None
    except (exc.ArgumentError, ValueError, ImportError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {type(error).__name__}") from None
    if engine.dialect.name == "sqlite":
        _make_transactional(engine)
    elif engine.dialect.name != "postgresql":
        raise ConfigurationError(f"{engine.dialect.name} is not supported: use SQLite or PostgreSQL")
    return engine


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
        connection.exec_driver_sql("BEGIN")


def shown(url: str) -> str:
    """Return a database URL fit to be shown: the password masked, no query."""
    try:
        return sa.make_url(url).set(query={}).render_as_string(hide_password=True)
    except exc.ArgumentError:
        return "(not a database URL)"


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
        raise DatabaseError(f"database: {doing}: {detail}") from None


def _safe_text(cause: BaseException) -> str:
    """Return the message of SQLite's own errors and of refused connections, which hold no values."""
    first = str(cause).strip().splitlines()
    return first[0] if first else ""


def is_missing(engine: sa.Engine) -> bool:
    """Say whether the database is an SQLite file that is not there (connecting would create it)."""
    file = engine.url.database
    return (
        engine.dialect.name == "sqlite" and file not in (None, "", ":memory:") and not Path(file).exists()
    )


@contextmanager
def transaction(url: str, metadata: sa.MetaData, must_exist: bool = False) -> Iterator[sa.Connection]:
    """Open a database that has certain tables (they are created if not), for one transaction.

    Raises:
        ConfigurationError: as `open_engine`.
        DatabaseError: the database refuses.
    """
    engine = open_engine(url)
    if must_exist and is_missing(engine):
        raise DatabaseError(f"database: there is no file {engine.url.database}")
    try:
        with errors_named("opening"), engine.begin() as connection:
            metadata.create_all(connection)
            yield connection
    finally:
        engine.dispose()
