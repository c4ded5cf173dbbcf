"""The tables of the pipeline `deals`."""

from __future__ import annotations

import sqlalchemy as sa

from etl.database.access import IDENTITY
from etl.database.schema import Schema, copies, rebuild

metadata = sa.MetaData()

_time = sa.DateTime(timezone=True)
# attoFIL overflows 64 bits, and SQLite's NUMERIC would turn it into a float.
_amount = sa.Text().with_variant(sa.Numeric(asdecimal=True), "postgresql")


def _from_feed() -> list[sa.Column[object]]:
    """Return the columns that a record of the feed fills."""
    return [
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("piece_cid", sa.Text),
        sa.Column("piece_size", sa.BigInteger),
        sa.Column("verified", sa.Boolean),
        sa.Column("price", _amount),
        sa.Column("provider_collateral", _amount),
        sa.Column("client_collateral", _amount),
        sa.Column("start_epoch", sa.BigInteger),
        sa.Column("end_epoch", sa.BigInteger),
        sa.Column("sector_number", sa.BigInteger),
        sa.Column("sector_start_epoch", sa.BigInteger),
        sa.Column("last_updated_epoch", sa.BigInteger),
        sa.Column("slash_epoch", sa.BigInteger),
    ]


FEED_COLUMNS = tuple(column.name for column in _from_feed())

deals = sa.Table(
    "deals",
    metadata,
    sa.Column("id", IDENTITY, primary_key=True),
    sa.Column("deal_id", sa.BigInteger, unique=True),
    *_from_feed(),
    sa.Column("proposal_id", sa.Text),
    sa.Column("last_verified_at", _time),
    sa.Column("created_at", _time, nullable=False, server_default=sa.func.current_timestamp()),
    sa.Column("updated_at", _time, nullable=False, server_default=sa.func.current_timestamp()),
    sa.Column("run_id", sa.BigInteger),
)
"""Deals by local id; `deal_id`, the one on chain, is null until it is known.

Whoever makes proposals may insert them here, with what they know of them.
"""

changes = sa.Table(
    "deal_state_changes",
    metadata,
    sa.Column("id", IDENTITY, primary_key=True),
    sa.Column("deals_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("previous_state", sa.Text),
    sa.Column("new_state", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.BigInteger),
    sa.Column("changed_at", _time, nullable=False),
    # PostgreSQL would look up each row by itself: a third of a merge, for rows that come from a join.
    sa.ForeignKeyConstraint(["deals_id"], [deals.c.id]).ddl_if(dialect="sqlite"),
)

wallets = sa.Table(
    "wallets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, unique=True),
)
"""The tracked wallets: ID address, and the robust address if that is how it was given."""

addresses = sa.Table(
    "wallet_addresses",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
)
"""The ID addresses that the chain has told of robust ones, tracked or not: they never change."""


def _let_others_insert(connection: sa.Connection) -> None:
    """Bring version 1 to 2: proposals may lack what is not agreed yet, and times come by themselves."""
    if connection.dialect.name == "sqlite":
        rebuild(connection, metadata)
        return
    for name in ("provider", "start_epoch", "end_epoch"):
        connection.exec_driver_sql(f"ALTER TABLE deals ALTER COLUMN {name} DROP NOT NULL")
    connection.exec_driver_sql(
        "ALTER TABLE deal_state_changes DROP CONSTRAINT IF EXISTS deal_state_changes_deals_id_fkey"
    )
    for name in ("created_at", "updated_at"):
        connection.exec_driver_sql(f"ALTER TABLE deals ALTER COLUMN {name} SET DEFAULT CURRENT_TIMESTAMP")


_first = copies(deals, changes, wallets)
for _name in ("provider", "start_epoch", "end_epoch"):
    _first.tables["deals"].c[_name].nullable = False
_first.tables["deal_state_changes"].c.deals_id.type = IDENTITY

SCHEMA = Schema("deals", metadata, _first, steps=(_let_others_insert,))

staging = sa.Table(
    "staging_deals",
    sa.MetaData(),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("deal_id", sa.BigInteger, nullable=False),
    *_from_feed(),
)
"""What records are staged in; each run makes one of its own like it, under another name."""
