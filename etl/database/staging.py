"""A run's own table, into which rows go before they are merged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import IO
from uuid import uuid4

import sqlalchemy as sa


class StagingTable(ABC):
    """A temporary table, and the fastest way into it that the database has."""

    batch_rows: int
    """How many rows are best loaded at a time."""

    def __init__(self, connection: sa.Connection, batch_rows: int) -> None:
        self._connection = connection
        self.batch_rows = batch_rows

    @property
    @abstractmethod
    def table(self) -> sa.Table:
        """The table."""

    @abstractmethod
    def load(self, parts: Sequence[bytes]) -> None:
        """Add rows, packed by the database's `pack`, in the transaction that is open.

        Raises:
            PipelineFailed: the table cannot hold them.
            SQLAlchemyError: the database refuses.
        """

    def restore(self, kept: IO[bytes]) -> None:
        """Add the rows of a file of parts, one after the other, where the database reconnects."""
        raise NotImplementedError

    def finish(self) -> None:  # noqa: B027 - most need nothing
        """All rows are there: make the table fit to be merged."""

    def count(self) -> int:
        """Return how many rows are there."""
        query = sa.select(sa.func.count()).select_from(self.table)
        return self._connection.execute(query).scalar_one()


def own_table(connection: sa.Connection, like: sa.Table) -> sa.Table:
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
