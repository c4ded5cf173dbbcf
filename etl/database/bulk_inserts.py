"""Rows into a staging table by SQLAlchemy's bulk inserts; the workers pack them as MessagePack."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa

from etl.database.staging import StagingTable, own_table
from etl.errors import PipelineFailed

MOST_VALUES = 999
"""How many values every SQLite takes in a statement (SQLITE_MAX_VARIABLE_NUMBER)."""


class BulkInserts(StagingTable):
    """SQLAlchemy Core, with a list of rows to a statement.

    Where the driver takes values by their places, and as they are, the statements are compiled once and the
    rows are just passed on: to name every value of every row takes twice as long as SQLite itself. With as
    many rows in a statement as may be, it takes five sixths of the time that it takes with one.
    """

    def __init__(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int, maker: str = "the pipeline"
    ) -> None:
        super().__init__(connection, batch_rows)
        with connection.begin():
            table = own_table(connection, like)
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
        self._unpacked = _unpacker(columns, maker)

    def load(self, parts: Sequence[bytes]) -> None:
        """Add rows; each part is MessagePack."""
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


def _unpacker(columns: Sequence[tuple[str, Any]], maker: str) -> Callable[[bytes], list[tuple[Any, ...]]]:
    """Return what makes rows again of MessagePack; `columns` are names and types.

    Raises:
        PipelineFailed: when it is called, that rows are not of these columns.
    """
    # Of a length that is known, they are decoded in two thirds of the time.
    row = types.GenericAlias(tuple, tuple(kind for _, kind in columns))
    kind = types.GenericAlias(list, (row,))
    decode = msgspec.msgpack.Decoder(kind).decode
    names = [name for name, _ in columns]

    def unpacked(rows: bytes) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = decode(rows)
        except msgspec.ValidationError as error:
            raise PipelineFailed(f"{maker} {_told(str(error), names)}") from None
        return found

    return unpacked


def _told(said: str, names: Sequence[str]) -> str:
    """Return what is wrong with a row, for its author, from what the decoder says: it numbers columns."""
    width = re.search(r"of length (\d+)(?:, got (\d+))?", said)
    if width is not None:
        got = f"{int(width[2]) - 1} values" if width[2] else "another number of values"
        return f"returns {got}, not {len(names) - 1} ({', '.join(names[1:])})"
    place = re.search(r"\[(\d+)\]`\Z", said)
    types_of = re.search(r"Expected `([^`]*)`, got `([^`]*)`", said)
    if place is None or types_of is None:
        return "returns values that do not fit the staging table"
    column = f"the column {names[int(place[1])]}, which is {types_of[1]}"
    return f"gives a value of the type {types_of[2]} for {column}"
