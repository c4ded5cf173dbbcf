"""`etl wallets`: the table of tracked wallets."""

from __future__ import annotations

from typing import Any

import click

from etl.options import database_options


@click.group()
def wallets() -> None:
    """Add, list and remove the wallets whose deals are tracked."""


@wallets.command()
@database_options("deals")
@click.argument("addresses", nargs=-1, required=True)
def add(database: str, addresses: tuple[str, ...]) -> None:
    """Track wallets, by their ID addresses (f0...)."""
    import sqlalchemy as sa

    from etl.errors import ConfigurationError
    from pipelines.deals import tables
    from pipelines.deals.chain import id_address

    try:
        wanted = list(dict.fromkeys(map(id_address, addresses)))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    with _opened(database) as connection:
        known = set(connection.execute(sa.select(tables.wallets.c.id)).scalars())
        new = [address for address in wanted if address not in known]
        if new:
            connection.execute(tables.wallets.insert(), [{"id": address} for address in new])
    click.echo(f"{len(new)} added, {len(wanted) - len(new)} already there", err=True)


@wallets.command("list")
@database_options("deals")
def list_(database: str) -> None:
    """Print the tracked wallets, one a line."""
    import sqlalchemy as sa

    from pipelines.deals import tables

    with _opened(database, writes=False, must_exist=True) as connection:
        for row in connection.execute(sa.select(tables.wallets).order_by(tables.wallets.c.id)):
            click.echo(row.id if row.address is None else f"{row.id} {row.address}")


@wallets.command()
@database_options("deals")
@click.argument("addresses", nargs=-1, required=True)
def remove(database: str, addresses: tuple[str, ...]) -> None:
    """Stop tracking wallets; their deals stay in the database."""
    import sqlalchemy as sa

    from pipelines.deals import tables

    table = tables.wallets
    with _opened(database, must_exist=True) as connection:
        gone = connection.execute(
            sa.delete(table).where(sa.or_(table.c.id.in_(addresses), table.c.address.in_(addresses)))
        ).rowcount
    click.echo(f"{gone} removed", err=True)


def _opened(database: str, writes: bool = True, must_exist: bool = False) -> Any:
    """Return a context of one transaction on a database that has the pipeline's tables."""
    from etl.database import transaction
    from pipelines.deals.tables import SCHEMA

    return transaction(database, SCHEMA, writes=writes, must_exist=must_exist)
