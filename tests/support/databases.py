"""The databases that the command writes, read and written by other means than its own."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

Row = dict[str, Any]

OURS = ("deals", "deal_state_changes", "wallets")
"""The tables that a failed run must leave alone."""


class Tables(ABC):
    """A database of either kind; nothing stays open between two calls, for the tests fork."""

    placeholder: ClassVar[str]

    @property
    @abstractmethod
    def url(self) -> str:
        """What the command is told."""

    @abstractmethod
    def query(self, query: str) -> list[Row]:
        """What a query returns, amounts as text and bytes as bytes."""

    @abstractmethod
    def execute(self, *statements: str | tuple[str, tuple[object, ...]]) -> None:
        """Carry out statements, with their parameters if they have any, in one transaction."""

    @abstractmethod
    def has(self, table: str) -> bool:
        """Whether there is a table or a view of this name."""

    def rows(self, table: str) -> list[Row]:
        """All rows of a table; none if there is no such table."""
        return self.query(f"SELECT * FROM {table} ORDER BY 1, 2") if self.has(table) else []

    def dump(self, *tables: str) -> dict[str, list[Row]]:
        """What stands in the tables; by default those that a failed run must leave alone."""
        return {name: self.rows(name) for name in tables or OURS}

    def deals(self) -> dict[int, Row]:
        """The columns of `deals` that come from the feed, by deal id, in the order of insertion."""
        local = {"id", "deal_id", "last_verified_at", "created_at", "updated_at", "run_id"}
        return {
            row["deal_id"]: {
                name: bool(value) if name == "verified" else value
                for name, value in row.items()
                if name not in local
            }
            for row in self.rows("deals")
        }

    def last_run(self) -> Row:
        return self.rows("etl_runs")[-1]

    def inserting(self, table: str, values: Row) -> tuple[str, tuple[object, ...]]:
        """The statement that adds a row."""
        marks = ", ".join([self.placeholder] * len(values))
        return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())

    def insert(self, table: str, *rows: Row) -> None:
        """Add rows."""
        self.execute(*(self.inserting(table, row) for row in rows))


@dataclass(frozen=True)
class Database(Tables):
    """An SQLite file."""

    path: Path
    placeholder = "?"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def query(self, query: str) -> list[Row]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def execute(self, *statements: str | tuple[str, tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.execute("COMMIT")

    def has(self, table: str) -> bool:
        return bool(self.query(f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"))


@dataclass(frozen=True)
class ServerDatabase(Tables):
    """A database of a PostgreSQL server."""

    address: str
    placeholder = "%s"

    @property
    def url(self) -> str:
        return self.address

    def query(self, query: str) -> list[Row]:
        import psycopg2  # which only tests of PostgreSQL need
        from psycopg2.extras import RealDictCursor

        with (
            closing(psycopg2.connect(self.address)) as connection,
            connection.cursor(cursor_factory=RealDictCursor) as cursor,
        ):
            cursor.execute(query)
            return [{name: _plain(value) for name, value in row.items()} for row in cursor]

    def execute(self, *statements: str | tuple[str, tuple[object, ...]]) -> None:
        import psycopg2

        with closing(psycopg2.connect(self.address)) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.commit()

    def has(self, table: str) -> bool:
        return bool(self.query(f"SELECT 1 WHERE to_regclass('{table}') IS NOT NULL"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return bytes(value) if isinstance(value, memoryview) else value


def moment(value: Any) -> datetime:
    """A time as either kind of database tells it; SQLite's are UTC."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).replace(tzinfo=UTC)
