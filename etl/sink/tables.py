"""Tables of a database: rows go into a temporary one, and are merged from there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import msgspec

from etl.declare.columns import Column, columns_of
from etl.declare.destination import Destination, Staging, Statement
from etl.declare.pipeline import resolve
from etl.sink.misfits import misfits_named
from etl.sink.store import Store

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.database.staging import StagingTable


@dataclass(frozen=True, kw_only=True)
class DatabaseDestination(Destination):
    """Tables, whichever database they are in."""

    @abstractmethod
    def store(self) -> Store:
        """Return the tables and their merge; in the writer process.

        Raises:
            ConfigurationError: they cannot be loaded.
        """

    @property
    def shown(self) -> str:
        """As the base class says."""
        return str(self.database.loads_by)

    @property
    def holds_nul(self) -> bool:
        """As the database."""
        return bool(self.database.holds_nul)

    def schemas(self) -> Sequence[Any]:
        """As the base class says."""
        return [self.store().schema]

    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """As the base class says."""
        with misfits_named(self.maker, rows):
            packed: bytes = self.database.pack(rows)
        return packed

    def open(self, connection: sa.Connection, batch_rows: int | None, dry_run: bool) -> TableStaging:
        """As the base class says; a dry run is rolled back."""
        store = self.store()
        table = self.database.staging_table(connection, store.staging, batch_rows, self.maker)
        return TableStaging(table, store, self.database.reconnects)


@dataclass(frozen=True, kw_only=True)
class Tables(DatabaseDestination):
    """The tables of a `Store` of the author's."""

    reference: str
    """Names the store, as `package.module:NAME`: databases are slow to import, and few need them."""

    @property
    def declared(self) -> tuple[Any, ...]:
        """As the base class says."""
        return ("tables", self.reference)

    @property
    def modules(self) -> tuple[str, ...]:
        """Where the store is."""
        return (self.reference.partition(":")[0],)

    def check(self, record: type[msgspec.Struct]) -> None:
        """As the base class says; the store itself is loaded by the writer."""
        if not (isinstance(self.reference, str) and ":" in self.reference):
            raise ValueError("tables() takes a reference such as package.module:NAME")

    columns_are_known = False

    def columns(self, record: type[msgspec.Struct]) -> Sequence[Column]:
        """Return those of the staging table."""
        from etl.sink.table_columns import columns_of_table

        return columns_of_table(self.store().staging)

    def store(self) -> Store:
        """As the base class says."""
        store: Store = resolve(self.reference)
        return store


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


_NAME_BYTES = 40
"""PostgreSQL keeps 63 bytes of a name; the staging table's and its index's are longer than the table's."""


class TableStaging(Staging):
    """A run's own table, and the merge from there."""

    def __init__(self, table: StagingTable, store: Store, can_restore: bool) -> None:
        self._table = table
        self._store = store
        self.batch_rows = table.batch_rows
        self.can_restore = can_restore

    def load(self, parts: Sequence[bytes]) -> None:
        """As the base class says."""
        self._table.load(parts)

    def restore(self, kept: IO[bytes]) -> None:
        """As the base class says."""
        self._table.restore(kept)

    def finish(self) -> None:
        """As the base class says."""
        self._table.finish()

    def count(self) -> int:
        """As the base class says."""
        return self._table.count()

    def steps(self, run_id: int, selection: Any, whole: bool) -> Sequence[Statement]:
        """Return the store's merge, and its sweep where the whole feed was seen."""
        merge = self._store.merge(run_id, selection, self._table.table)
        return [*merge, *(self._store.sweep(run_id, selection) if whole else ())]

    def overview(self, selection: Any) -> sa.Select[Any] | None:
        """As the base class says."""
        return self._store.overview(selection)
