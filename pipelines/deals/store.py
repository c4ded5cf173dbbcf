"""The store of the pipeline `deals`, declared."""

from __future__ import annotations

import sqlalchemy as sa

from etl.database import errors_named, is_missing, open_engine
from etl.pipeline import Store
from pipelines.deals.merge import merge, overview, sweep
from pipelines.deals.tables import SCHEMA, staging, wallets

STORE = Store(schema=SCHEMA, staging=staging, merge=merge, sweep=sweep, overview=overview)


def tracked_wallets(database: str) -> list[str]:
    """Return the ID addresses in the table `wallets`, if there is one.

    Raises:
        ConfigurationError: not the URL of a database.
        DatabaseError: it cannot be read.
    """
    engine = open_engine(database)
    if is_missing(engine):
        return []
    try:
        with errors_named("reading the table wallets"), engine.connect() as connection:
            if not sa.inspect(connection).has_table(wallets.name):
                return []
            return list(connection.execute(sa.select(wallets.c.id)).scalars())
    finally:
        engine.dispose()
