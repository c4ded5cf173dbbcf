"""The pipeline `market_deals`, declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from etl.declare.pipeline import Selection
from pipelines.deals.options import LOTUS_OPTIONS
from pipelines.deals.pipeline import PIPELINE as DEALS
from pipelines.deals.record import Deal, number_of


def to_row(key: str | None, deal: Deal, _selection: Selection) -> tuple[Any, ...]:
    """Return the columns of `pipelines.market_deals.columns`.

    Raises:
        ValueError: the deal id is no number of 64 bits.
    """
    proposal, state = deal.proposal, deal.state
    piece = proposal.piece_cid
    return (
        number_of(key, deal),
        proposal.client,
        proposal.provider,
        proposal.label,
        piece.cid if piece is not None else None,
        proposal.piece_size,
        proposal.verified,
        proposal.price,
        proposal.provider_collateral,
        proposal.client_collateral,
        proposal.start_epoch,
        proposal.end_epoch,
        state.sector_number,
        state.sector_start_epoch,
        state.last_updated_epoch,
        state.slash_epoch,
    )


def select(_options: Mapping[str, Any]) -> Selection:
    """Return what stands for every deal."""
    return Selection(wanted=None)


PIPELINE = replace(
    DEALS,
    name="market_deals",
    summary="All Filecoin storage deals, flat and typed, into a Parquet file",
    row=to_row,
    store="pipelines.market_deals.store:STORE",
    columns="pipelines.market_deals.columns:COLUMNS",
    select=select,
    options=(
        click.option(
            "--output", type=click.Path(path_type=Path, dir_okay=False), default="market_deals.parquet",
            show_default=True, metavar="FILE", help="The Parquet file that is replaced.",
        ),
        *LOTUS_OPTIONS,
    ),
)  # fmt: skip
