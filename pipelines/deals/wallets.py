"""`etl wallets`: the table of tracked wallets."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from etl.command.options import database_options
from etl.command.show import line
from etl.database.target import Target
from pipelines.deals.options import LOTUS_OPTIONS

if TYPE_CHECKING:
    import sqlalchemy as sa

_lotus_api, _lotus_token = LOTUS_OPTIONS


@click.group()
def wallets() -> None:
    """Add, list and remove the wallets whose deals are tracked."""


@wallets.command()
@database_options("deals")
@_lotus_api
@_lotus_token
@click.argument("addresses", nargs=-1, required=True)
def add(database: Target, addresses: tuple[str, ...], **options: Any) -> None:
    """Track wallets, by their ID addresses (f0...) or, with a Lotus node to ask, robust ones."""
    import sqlalchemy as sa

    from pipelines.deals import tables
    from pipelines.deals.selection import ids_of, node_of, parsed

    table = tables.wallets
    ids, _ = ids_of(parsed(addresses), database, node_of(options))
    robust = {id_address: text for text, id_address in ids.items() if text != id_address}
    with _opened(database) as connection:
        known = {row.id: row.address for row in connection.execute(sa.select(table))}
        parsed([*known, *ids.values()])  # all of one network
        new = [address for address in dict.fromkeys(ids.values()) if address not in known]
        if new:
            rows = [{"id": address, "address": robust.get(address)} for address in new]
            connection.execute(table.insert(), rows)
        for address in robust.keys() & {id_address for id_address, text in known.items() if text is None}:
            connection.execute(
                sa.update(table).where(table.c.id == address).values(address=robust[address])
            )
    click.echo(f"{len(new)} added, {len(set(ids.values())) - len(new)} already there", err=True)


@wallets.command("list")
@database_options("deals")
def list_(database: Target) -> None:
    """Print the tracked wallets, one a line."""
    import sqlalchemy as sa

    from etl.database.access import reading
    from pipelines.deals.tables import SCHEMA
    from pipelines.deals.tables import wallets as table

    with reading(database, SCHEMA) as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)) if connection is not None else ()
        for row in rows:
            line(row.id if row.address is None else f"{row.id} {row.address}")


@wallets.command()
@database_options("deals")
@click.argument("addresses", nargs=-1, required=True)
def remove(database: Target, addresses: tuple[str, ...]) -> None:
    """Stop tracking wallets; their deals stay in the database."""
    import sqlalchemy as sa

    from pipelines.deals import tables

    table = tables.wallets
    with _opened(database, must_exist=True) as connection:
        gone = connection.execute(
            sa.delete(table).where(sa.or_(table.c.id.in_(addresses), table.c.address.in_(addresses)))
        ).rowcount
    click.echo(f"{gone} removed", err=True)


def _opened(database: Target, must_exist: bool = False) -> AbstractContextManager[sa.Connection]:
    """Return a context of one transaction on a database that has the pipeline's tables."""
    from etl.database.access import transaction
    from pipelines.deals.tables import SCHEMA

    return transaction(database, SCHEMA, must_exist=must_exist)
