"""Transactions on a database, whichever it is, and its errors in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from etl.database import refusals
from etl.database.postgresql_engine import ClosedAtOnce
from etl.database.schema import Schema, prepare, version_of
from etl.database.sqlite import BEGIN
from etl.database.target import Target
from etl.errors import ConnectionLost, DatabaseError

IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of keys that the database numbers; SQLite numbers INTEGER keys only."""

_AGAIN = re.compile("08|57P0[123]|40001|40P01")
"""SQLSTATEs of lost connections, servers that stop or start, and conflicts with other sessions."""


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
    connection.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
    try:
        with connection.begin() as transaction:
            yield transaction
    finally:
        connection.execution_options(**{BEGIN: "BEGIN"})


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn the driver's errors into one line that holds no values.

    Raises:
        DatabaseError: with the SQLSTATE (PostgreSQL) or SQLite's error name.
    """
    try:
        yield
    except ClosedAtOnce:
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


@contextmanager
def transaction(target: Target, schema: Schema, *, must_exist: bool = False) -> Iterator[sa.Connection]:
    """Open a database for one transaction that writes; tables that are not there are created.

    Raises:
        ConfigurationError: the URL cannot be used, or as `prepare`.
        DatabaseError: the database refuses.
    """
    database = target.database
    database.check()
    engine = database.engine()
    if must_exist and (missing := database.missing_file()) is not None:
        raise DatabaseError(f"database: there is no file {missing}")
    try:
        with database_errors("opening"), engine.connect() as connection, writing(connection):
            prepare(connection, schema)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading(target: Target, schema: Schema, *, must_exist: bool = True) -> Iterator[sa.Connection | None]:
    """Open a database for one transaction that cannot write; None where the tables are not there.

    Raises:
        ConfigurationError: the URL cannot be used, or as `version_of`.
        DatabaseError: the database refuses, or is a file that is not there.
    """
    database = target.database
    database.check(writes=False, lasting=must_exist)
    engine = database.engine(read_only=True)
    if (missing := database.missing_file()) is not None:
        if must_exist:
            raise DatabaseError(f"database: there is no file {missing}")
        yield None
        return
    try:
        with database_errors("reading"), engine.connect() as connection, connection.begin():
            yield connection if version_of(connection, schema) is not None else None
    finally:
        engine.dispose()
