"""Rows into a staging table by PostgreSQL's COPY, on psycopg2; the workers pack them as CSV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import IO, Any

import sqlalchemy as sa

from etl.database.staging import StagingTable, own_table
from etl.errors import PipelineFailed

_MISFITS = {
    "22P04": None,
    "22P02": "returns a value of another type",
    "22003": "returns a number that is too large",
    "22001": "returns a text that is too long",
    "23502": "returns no value",
}
"""What is wrong with the rows by the server's SQLSTATE; the text that it was given is well-formed."""


class Copy(StagingTable):
    """PostgreSQL's COPY, on psycopg2.

    The table is created when there are rows for it: from then on the transaction has a number, and what
    others delete and update meanwhile cannot be cleaned up (manual, section 25.1.2) until it ends.
    """

    def __init__(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int, maker: str = "the pipeline"
    ) -> None:
        super().__init__(connection, batch_rows)
        self._like = like
        self._maker = maker
        self._columns = [column.name for column in like.columns]
        self._made: sa.Table | None = None

    @property
    def table(self) -> sa.Table:
        """The table that holds them."""
        if self._made is None:
            self._made = own_table(self._connection, self._like)
        return self._made

    def load(self, parts: Sequence[bytes]) -> None:
        """Add rows; each part is CSV."""
        self.restore(io.BytesIO(b"".join(parts)))

    def restore(self, kept: IO[bytes]) -> None:
        """Add the rows of a file of CSV."""
        import psycopg2

        table = self.table
        preparer = self._connection.dialect.identifier_preparer
        names = ", ".join(preparer.quote(column.name) for column in table.columns)
        copy = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN (FORMAT csv)"
        raw: Any = self._connection.connection.driver_connection
        try:
            with raw.cursor() as cursor:
                cursor.copy_expert(copy, kept, 1 << 18)
        except psycopg2.Error as error:  # which SQLAlchemy does not see
            if error.pgcode in _MISFITS:
                raise self._misfit(error) from None
            if raw.closed:
                self._connection.invalidate(error)
            raise sa.exc.DBAPIError("COPY", None, error, connection_invalidated=bool(raw.closed)) from error

    def _misfit(self, error: Any) -> PipelineFailed:
        """Return what to say of rows that the table cannot hold, by the column that the server names."""
        what = _MISFITS[error.pgcode]
        if what is None:
            names = self._columns[1:]
            what = f"returns another number of values than {len(names)} ({', '.join(names)})"
        said = f"{error.diag.column_name or ''} {error.diag.context or ''}"
        column = next((name for name in self._columns if f" {name}:" in said or f"{name} " in said), None)
        where = f" in the column {column}" if column is not None and _MISFITS[error.pgcode] else ""
        return PipelineFailed(f"{self._maker} {what}{where} (SQLSTATE {error.pgcode})")

    def finish(self) -> None:
        """Let the planner know what the table holds: nobody else analyzes a temporary one."""
        # It is as large as one that is never analyzed is taken to be; a small sample shows what it holds.
        self._connection.exec_driver_sql("SET LOCAL default_statistics_target = 10")
        named = self._connection.dialect.identifier_preparer.format_table(self.table)
        self._connection.exec_driver_sql(f"ANALYZE {named}")
