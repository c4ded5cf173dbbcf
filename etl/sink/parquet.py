"""Parquet: one typed file, replaced as a whole; the workers make columns of the rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from etl.declare.columns import Column
from etl.declare.destination import Staging
from etl.declare.registry import resolve
from etl.file_kinds import FileKind
from etl.sink.file_destination import FileDestination
from etl.sink.misfits import misfits_named

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.sink.arrow import Columns

_KIND = FileKind("a Parquet file", re.compile(rb"PAR1"))


@dataclass(frozen=True, kw_only=True)
class Parquet(FileDestination):
    """A Parquet file."""

    reference: str | None = None
    """Names its `Columns`, as `package.module:NAME` (Arrow is slow to import); by default, they are made of
    the columns of the pipeline's rows."""
    key: str | None = None
    """Of the latter columns, the one by which records are the same."""

    name = "Parquet"
    suffix = ".parquet"

    @property
    def declared(self) -> tuple[Any, ...]:
        """As the base class says."""
        return (*super().declared, self.reference, self.key)

    @property
    def modules(self) -> tuple[str, ...]:
        """Where the columns are."""
        return () if self.reference is None else (self.reference.partition(":")[0],)

    def check(self, record: type[msgspec.Struct]) -> None:
        """As the base class says; columns that are named are loaded by who needs them."""
        if self.reference is not None and ":" not in str(self.reference):
            raise ValueError("parquet() takes a reference such as package.module:NAME")
        if not self.columns_are_known:
            return
        names = [column.name for column in self.columns(record)]
        if self.key is not None and self.key not in names:
            raise ValueError(f"key: there is no column {self.key}; there are {', '.join(names)}")

    def columns(self, record: type[msgspec.Struct]) -> Sequence[Column]:
        """As the base class says."""
        if self.reference is None:
            return super().columns(record)
        from etl.sink.arrow import plain

        return plain(resolve(self.reference, self.owner))

    @property
    def columns_are_known(self) -> bool:
        """As the base class says."""
        return self.reference is None and super().columns_are_known

    @property
    def file_kind(self) -> FileKind:
        """As the base class says."""
        return _KIND

    @cached_property
    def _columns(self) -> Columns:
        if self.reference is not None:
            named: Columns = resolve(self.reference, self.owner)
            return named
        from etl.sink.arrow import columns_of

        assert self.record is not None
        return columns_of(self.columns(self.record), self.key)

    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows, but their position, as a record batch in Arrow's format between processes (IPC)."""
        from etl.sink.arrow import message_of, misfit

        schema = self._columns.schema
        with misfits_named(self.maker, rows, schema.names, lambda: misfit(rows, schema)):
            return message_of(rows, schema)

    def open(self, connection: sa.Connection, batch_rows: int | None, dry_run: bool) -> Staging:
        """As the base class says; what a dry run writes is not put in place."""
        from etl.sink.parquet_file import ParquetFile

        assert self.file is not None
        return ParquetFile(self.file, self._columns, batch_rows)
