"""What the database knows of wallets before a run begins."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from etl.database.access import reading
from etl.database.schema import is_there
from etl.database.target import Target
from pipelines.deals.tables import SCHEMA, addresses, wallets


def tracked_wallets(database: Target) -> list[str]:
    """Return the addresses in the table `wallets`, if there is one.

    Raises:
        ConfigurationError: not the URL of a database, or the table is another program's.
        DatabaseError: it cannot be read.
    """
    return [row.id for row in _rows(database, wallets.c.id)]


def known_addresses(database: Target) -> dict[str, str]:
    """Return the ID addresses of robust ones, as far as they were looked up before.

    Raises:
        As `tracked_wallets`.
    """
    rows = [row for table in (addresses, wallets) for row in _rows(database, table.c.address, table.c.id)]
    return {row.address: row.id for row in rows if row.address is not None}


def _rows(database: Target, *columns: sa.Column[Any]) -> list[sa.Row[Any]]:
    """Return what stands in a table that may not be there yet: an older version had fewer."""
    with reading(database, SCHEMA, must_exist=False) as connection:
        if connection is None or not is_there(connection, columns[0].table.name):
            return []
        return list(connection.execute(sa.select(*columns)))
