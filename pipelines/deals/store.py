"""The store of the pipeline `deals`, declared; and what a run has to know of it before it begins."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from etl.database import errors_named, is_missing, open_engine
from etl.pipeline import Store
from pipelines.deals.merge import merge, overview, sweep
from pipelines.deals.tables import SCHEMA, addresses, staging, wallets

STORE = Store(schema=SCHEMA, staging=staging, merge=merge, sweep=sweep, overview=overview)


def tracked_wallets(database: str) -> list[str]:
    """Return the addresses in the table `wallets`, if there is one.

    Raises:
        ConfigurationError: not the URL of a database.
        DatabaseError: it cannot be read.
    """
    return [row.id for row in _rows(database, wallets, wallets.c.id)]


def known_addresses(database: str) -> dict[str, str]:
    """Return the ID addresses of robust ones, as far as they were looked up before.

    Raises:
        As `tracked_wallets`.
    """
    tables = (addresses, wallets)
    rows = [row for table in tables for row in _rows(database, table, table.c.address, table.c.id)]
    return {row.address: row.id for row in rows if row.address is not None}


def _rows(database: str, table: sa.Table, *columns: sa.Column[Any]) -> list[sa.Row[Any]]:
    """Return what stands in a table that may not be there yet."""
    engine = open_engine(database)
    if is_missing(engine):
        return []
    try:
        with errors_named(f"reading the table {table.name}"), engine.connect() as connection:
            if not sa.inspect(connection).has_table(table.name):
                return []
            return list(connection.execute(sa.select(*columns)))
    finally:
        engine.dispose()
