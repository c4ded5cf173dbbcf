"""The pipeline `deals`, declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from etl.errors import ConfigurationError
from etl.pipeline import Pipeline
from pipelines.deals import DATABASE
from pipelines.deals.chain import epoch_at, id_address, time_of
from pipelines.deals.record import Deal, to_row
from pipelines.deals.selection import Tracked

PUBLIC_FEED = "https://marketdeals.s3.amazonaws.com/StateMarketDeals.json.zst"


def select(options: Mapping[str, Any]) -> Tracked:
    """Return the wallets that were named, or else those of the table, and the head.

    Raises:
        ConfigurationError: no wallet at all, or one that is no ID address.
        DatabaseError: the table cannot be read.
    """
    named = [*options["client"], *_from_file(options["clients_file"])]
    if not named:
        named = _from_table(options["database"])
    if not named:
        raise ConfigurationError(
            "no wallets to track: name them with --client or --clients-file,"
            " or add them with “etl wallets add”"
        )
    head = options["head_epoch"]
    try:
        wanted = frozenset(map(id_address, named))
        if head is None:
            head = epoch_at(datetime.now(UTC))
        time_of(head)
    except (ValueError, OverflowError) as error:
        reason = error if isinstance(error, ValueError) else f"epoch {head} is beyond the calendar"
        raise ConfigurationError(str(reason)) from None
    return Tracked(wanted, head)


def _from_file(path: Path | None) -> list[str]:
    """Return the addresses in a file: one a line; blank lines and what follows `#` do not count."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{path}: {reason}") from None
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def _from_table(database: str) -> list[str]:
    from pipelines.deals.store import tracked_wallets

    return tracked_wallets(database)


PIPELINE = Pipeline(
    name="deals",
    record=Deal,
    match=("Proposal", "Client"),
    envelope=("result",),
    row=to_row,
    store="pipelines.deals.store:STORE",
    select=select,
    options=(
        click.option(
            "--client",
            multiple=True,
            metavar="ADDRESS",
            help="A wallet to track, by its ID address; repeatable.  [default: the table wallets]",
        ),
        click.option(
            "--clients-file",
            type=click.Path(path_type=Path),
            help="A file of wallets, one a line.",
        ),
        click.option(
            "--head-epoch",
            type=click.IntRange(min=0),
            help="The epoch at which states are derived.  [default: by the clock]",
        ),
    ),
    default_source=PUBLIC_FEED,
    source_variables=("MARKET_DEAL_URL",),
    default_database=DATABASE,
)
