"""Tables of a database: rows go into a temporary one, and are merged from there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import msgspec

from etl.declare.columns import Column
from etl.declare.destination import Destination, Staging, Statement
from etl.declare.registry import resolve
from etl.sink.misfits import misfits_named
from etl.sink.store import Store

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.database.staging import StagingTable


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
        store: Store = resolve(self.reference, self.owner)
        return store


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
