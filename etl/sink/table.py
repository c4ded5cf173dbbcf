"""One table, which an author declares by its name, its key and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from etl.declare.columns import Column, columns_of
from etl.sink.store import Store
from etl.sink.tables import DatabaseDestination

_NAME_BYTES = 40
"""PostgreSQL keeps 63 bytes of a name; the staging table's and its index's are longer than the table's."""


@dataclass(frozen=True, kw_only=True)
class Table(DatabaseDestination):
    """One table that is kept up to date by its key, or that every row is added to."""

    name: str
    key: tuple[str, ...] = ()
    """The columns by which rows are the same; without one, no row is the same as another."""
    given: tuple[Column, ...] | None = None
    """Its columns, in the order of what `row` returns; by default, the record's members."""

    @property
    def declared(self) -> tuple[Any, ...]:
        """As the base class says."""
        given = None if self.given is None else [(c.name, c.kind, c.nullable) for c in self.given]
        return ("table", self.name, self.key, given)

    def check(self, record: type[msgspec.Struct]) -> None:
        """As the base class says."""
        if not isinstance(self.name, str) or not self.name or "\0" in self.name:
            raise ValueError("a table's name is a text that is not empty")
        if len(self.name.encode()) > _NAME_BYTES:
            raise ValueError(f"a table's name has at most {_NAME_BYTES} bytes")
        if self.name.startswith(("etl_", "sqlite_", "pg_")):
            raise ValueError(f"the table {self.name} would be taken for one of the ledger or the database")
        columns = {column.name: column for column in self.columns(record)}
        if len(columns) != len(self.columns(record)):
            raise ValueError("two columns of the table have one name")
        for name in self.key:
            if name not in columns:
                raise ValueError(f"key: there is no column {name}; there are {', '.join(columns)}")
            if columns[name].nullable:
                raise ValueError(f"key: the column {name} may be null")
        if len(set(self.key)) < len(self.key):
            raise ValueError("key: a column is named twice")

    def columns(self, record: type[msgspec.Struct]) -> Sequence[Column]:
        """As the base class says."""
        return columns_of(record) if self.given is None else self.given

    def store(self) -> Store:
        """As the base class says."""
        from etl.sink.table_merge import store_of

        assert self.record is not None
        return store_of(self.name, self.columns(self.record), self.key)
