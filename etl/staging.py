"""Rows into the staging table, by the fastest way that the database has.

Any database that SQLAlchemy speaks to takes Core's bulk inserts. PostgreSQL has COPY, which takes what the
workers have turned to text already (`etl.columns`).
"""

from __future__ import annotations

import io
from typing import IO, Any, Protocol

import sqlalchemy as sa

from etl.columns import csv_of
from etl.messages import Rows


class Loader(Protocol):
    """A way into the staging table."""

    batch_rows: int
    """How many rows it is best given at a time."""

    def load(self, parts: list[Rows]) -> None:
        """Add rows, in the transaction that is open."""

    def finish(self) -> None:
        """All rows are there."""


def loader_for(connection: sa.Connection, table: sa.Table, batch_rows: int | None) -> Loader:
    """Return the way into a table that exists already; None leaves the size of batches to it."""
    if connection.dialect.driver == "psycopg2":
        return Copy(connection, table, batch_rows or 10_000)
    # Of 100 to 20,000, the fastest into SQLite (`python -m bench micro`).
    return BulkInserts(connection, table, batch_rows or 1000)


class BulkInserts:
    """SQLAlchemy Core, with a list of rows to a statement."""

    def __init__(self, connection: sa.Connection, table: sa.Table, batch_rows: int) -> None:
        self.batch_rows = batch_rows
        self._connection = connection
        self._insert = table.insert()
        self._names = [column.name for column in table.columns]

    def load(self, parts: list[Rows]) -> None:
        """Add rows."""
        rows = []
        for part in parts:
            assert isinstance(part, list)  # only COPY is sent text
            rows += [dict(zip(self._names, row, strict=True)) for row in part]
        for start in range(0, len(rows), self.batch_rows):
            self._connection.execute(self._insert, rows[start : start + self.batch_rows])

    def finish(self) -> None:
        """Nothing is left to do."""


class Copy:
    """PostgreSQL's COPY, on psycopg2."""

    def __init__(self, connection: sa.Connection, table: sa.Table, batch_rows: int) -> None:
        self.batch_rows = batch_rows
        self._connection = connection
        quoted = connection.dialect.identifier_preparer.quote
        self._table = quoted(table.name)
        names = ", ".join(quoted(column.name) for column in table.columns)
        self._copy = f"COPY {self._table} ({names}) FROM STDIN (FORMAT csv)"

    def load(self, parts: list[Rows]) -> None:
        """Add rows."""
        text = b"".join(part if isinstance(part, bytes) else csv_of(part) for part in parts)
        self.send(io.BytesIO(text))

    def send(self, text: IO[bytes]) -> None:
        """Add the rows of a file, as CSV."""
        import psycopg2

        raw: Any = self._connection.connection.driver_connection
        try:
            with raw.cursor() as cursor:
                cursor.copy_expert(self._copy, text, 1 << 18)
        except psycopg2.Error as error:  # which SQLAlchemy does not see
            if raw.closed:
                self._connection.invalidate(error)
            raise sa.exc.DBAPIError("COPY", None, error, connection_invalidated=bool(raw.closed)) from error

    def finish(self) -> None:
        """Let the planner know what the table holds: nobody else analyzes a temporary one."""
        self._connection.exec_driver_sql(f"ANALYZE {self._table}")
