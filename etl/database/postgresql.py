"""PostgreSQL: its engine, its lock and the way rows go in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from etl.database import postgresql_urls
from etl.database.database import Database, Lock

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.database.staging import StagingTable


class PostgreSQL(Database):
    """A database of a PostgreSQL server, through psycopg2."""

    holds_nul = False
    loads_by = "COPY"
    reconnects = True

    def check(self, *, writes: bool = True, lasting: bool = True) -> None:
        """As the base class says: what the server lets be written, it says itself."""
        postgresql_urls.check(self.url)

    def engine(self, read_only: bool = False) -> sa.Engine:
        """As the base class says.

        Every transaction sets for itself what it needs: behind a pooler in transaction mode the next one
        may be another session's, and the last one was somebody else's.
        """
        from etl.database.postgresql_engine import engine_of

        return engine_of(self.url, self.schema, read_only)

    def lock(self, connection: sa.Connection, pipeline: str, held: Lock | None = None) -> Lock:
        """Return the lock, which begins a transaction and ends with it."""
        return _AdvisoryLock(connection, pipeline)

    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows as CSV, in which an empty field is null and `""` the empty text."""
        from etl.database.csv_text import csv_of

        return csv_of(rows)

    def staging_table(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int | None, maker: str
    ) -> StagingTable:
        """As the base class says."""
        from etl.database.copying import Copy

        return Copy(connection, like, batch_rows or 10_000, maker)


class _AdvisoryLock:
    """The lock of a pipeline in a schema (the manual, section 13.3.5).

    It is kept with a transaction: behind a pooler a session is nobody's own, but a transaction is.
    """

    def __init__(self, connection: sa.Connection, pipeline: str) -> None:
        self._connection = connection
        self._pipeline = pipeline

    def attempt(self) -> bool:
        """Begin a transaction that holds the lock, if it is free; say whether it was."""
        import sqlalchemy as sa

        from etl.database.schema import namespace_of

        transaction = self._connection.begin()
        # Two schemas of one database are two databases to whoever uses them.
        key = sa.func.hashtextextended(f"{namespace_of(self._connection)}.etl.{self._pipeline}", 0)
        query = sa.select(sa.func.pg_try_advisory_xact_lock(key))
        acquired: bool = self._connection.execute(query).scalar_one()
        if not acquired:
            transaction.rollback()
        return acquired

    def close(self) -> None:
        """The lock ends with the transaction."""
