"""Rows to where they are staged, by the fastest way that there is.

Any database that SQLAlchemy speaks to takes Core's bulk inserts. PostgreSQL has COPY, which takes what the
workers have turned to text already (`etl.sink.packing`). A file takes what they have turned to columns
(`etl.sink.parquet`).
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import sqlalchemy as sa

from etl.declare.pipeline import Columns
from etl.errors import PipelineFailed
from etl.records.found import Rows
from etl.sink.packing import csv_of, unpacker

MOST_VALUES = 999
"""How many values every SQLite takes in a statement (SQLITE_MAX_VARIABLE_NUMBER)."""


class Loader(ABC):
    """A way to where rows are staged."""

    batch_rows: int
    """How many rows it is best given at a time."""

    @abstractmethod
    def load(self, parts: list[Rows]) -> None:
        """Add rows, in the transaction that is open."""

    @abstractmethod
    def finish(self) -> None:
        """All rows are there."""

    @abstractmethod
    def count(self) -> int:
        """Return how many rows are there, once all are."""

    @property
    def table(self) -> sa.Table | None:
        """The table that holds them, to be merged, where there is one."""
        return None

    @property
    def counts(self) -> Mapping[str, int]:
        """Those of the report's figures that are known before a merge."""
        return {}

    def publish(self) -> None:  # noqa: B027 - most show nothing
        """Show what no commit shows, just before the commit."""

    def close(self) -> None:  # noqa: B027 - nor do they leave any
        """Whatever was not committed shall leave no trace."""


def loader_for(
    connection: sa.Connection,
    target: sa.Table | Columns,
    output: Path | None,
    batch_rows: int | None,
    maker: str = "the pipeline",
) -> Loader:
    """Create what rows are staged in, and return the way there; None leaves the size of batches to it.

    `maker` begins a sentence about rows that do not fit.
    """
    if isinstance(target, Columns):
        from etl.sink.parquet import ParquetFile

        assert output is not None
        return ParquetFile(output, target, batch_rows)
    if connection.dialect.driver == "psycopg2":
        return Copy(connection, target, batch_rows or 10_000, maker)
    # Of 100 to 20,000, the fastest into SQLite (`python -m bench micro`).
    return BulkInserts(connection, target, batch_rows or 1000, maker)


def _own_table(connection: sa.Connection, like: sa.Table) -> sa.Table:
    """Create this run's own staging table, in the transaction that is open, with which it goes.

    A session may have been somebody else's before, and have their temporary tables: the name is new, and
    always told with the schema of temporary tables.
    """
    table = sa.Table(
        f"{like.name}_{uuid4().hex[:12]}",
        sa.MetaData(),
        *(sa.Column(column.name, column.type, nullable=column.nullable) for column in like.columns),
        schema="temp" if connection.dialect.name == "sqlite" else "pg_temp",
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )
    table.create(connection, checkfirst=False)
    return table


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


class BulkInserts(Loader):
    """SQLAlchemy Core, with a list of rows to a statement.

    Where the driver takes values by their places, and as they are, the statements are compiled once and the
    rows are just passed on: to name every value of every row takes twice as long as SQLite itself. With as
    many rows in a statement as may be, it takes five sixths of the time that it takes with one.
    """

    def __init__(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int, maker: str = "the pipeline"
    ) -> None:
        self.batch_rows = batch_rows
        self._connection = connection
        with connection.begin():
            table = _own_table(connection, like)
        self._table = table
        self._insert = table.insert()
        self._names = [column.name for column in table.columns]
        compiled = self._insert.compile(dialect=connection.dialect)
        plain = all(_is_passed_on(column.type, connection.dialect) for column in table.columns)
        self._statement = str(compiled) if compiled.positional and plain else None
        self._together = MOST_VALUES // len(self._names) if self._statement is not None else 1
        before, _, values = str(compiled).rpartition("VALUES ")
        self._several = f"{before}VALUES {', '.join([values] * self._together)}"
        self._maker = maker
        columns = [(column.name, _kind_of(column)) for column in table.columns]
        self._unpacked = unpacker(columns, maker)

    def load(self, parts: list[Rows]) -> None:
        """Add rows."""
        rows: list[tuple[Any, ...]] = []
        for part in parts:
            rows += self._unpacked(part)
        try:
            for start in range(0, len(rows), self.batch_rows):
                self._execute(rows[start : start + self.batch_rows])
        except OverflowError:
            raise PipelineFailed(f"{self._maker} returns a number of more than 64 bits") from None

    def _execute(self, rows: list[tuple[Any, ...]]) -> None:
        if self._statement is not None:
            size = self._together
            whole = len(rows) // size * size
            several = [tuple(chain.from_iterable(rows[at : at + size])) for at in range(0, whole, size)]
            if several:
                self._connection.exec_driver_sql(self._several, several)
            if whole < len(rows):
                self._connection.exec_driver_sql(self._statement, rows[whole:])
        else:
            named = [dict(zip(self._names, row, strict=True)) for row in rows]
            self._connection.execute(self._insert, named)

    @property
    def table(self) -> sa.Table:
        """The table that holds them."""
        return self._table

    def finish(self) -> None:
        """Nothing is left to do."""

    def count(self) -> int:
        """Return how many rows are there."""
        return _count(self._connection, self._table)


_MISFITS = {
    "22P04": None,
    "22P02": "returns a value of another type",
    "22003": "returns a number that is too large",
    "22001": "returns a text that is too long",
    "23502": "returns no value",
}
"""What is wrong with the rows by the server's SQLSTATE; the text that it was given is well-formed."""


def _kind_of(column: sa.Column[Any]) -> Any:
    """Return the type of a column's values in a row, where it is certain: SQLite itself takes any."""
    if isinstance(column.type, sa.Boolean | sa.Integer):
        kind: Any = bool | int
    elif isinstance(column.type, sa.String):
        kind = str
    else:
        return Any
    return kind | None if column.nullable else kind


def _is_passed_on(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> bool:
    """Say whether a driver takes values of a type as they are; it takes Python's booleans as integers."""
    kind = kind.dialect_impl(dialect)
    return isinstance(kind, sa.Boolean) or kind.bind_processor(dialect) is None


class Copy(Loader):
    """PostgreSQL's COPY, on psycopg2.

    The table is created when there are rows for it: from then on the transaction has a number, and what
    others delete and update meanwhile cannot be cleaned up (manual, section 25.1.2) until it ends.
    """

    def __init__(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int, maker: str = "the pipeline"
    ) -> None:
        self.batch_rows = batch_rows
        self._connection = connection
        self._like = like
        self._maker = maker
        self._columns = [column.name for column in like.columns]
        self._made: sa.Table | None = None

    @property
    def table(self) -> sa.Table:
        """The table that holds them."""
        if self._made is None:
            self._made = _own_table(self._connection, self._like)
        return self._made

    def load(self, parts: list[Rows]) -> None:
        """Add rows."""
        text = b"".join(part if isinstance(part, bytes) else csv_of(part) for part in parts)
        self.send(io.BytesIO(text))

    def send(self, text: IO[bytes]) -> None:
        """Add the rows of a file, as CSV."""
        import psycopg2

        table = self.table
        preparer = self._connection.dialect.identifier_preparer
        names = ", ".join(preparer.quote(column.name) for column in table.columns)
        copy = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN (FORMAT csv)"
        raw: Any = self._connection.connection.driver_connection
        try:
            with raw.cursor() as cursor:
                cursor.copy_expert(copy, text, 1 << 18)
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

    def count(self) -> int:
        """Return how many rows are there."""
        return _count(self._connection, self.table)
