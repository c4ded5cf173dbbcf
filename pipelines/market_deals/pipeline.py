"""The pipeline `market_deals`, declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from etl.declare.pipeline import Selection
from etl.sink.destinations import parquet
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
    destination=parquet("pipelines.market_deals.columns:COLUMNS", file="market_deals.parquet"),
    select=select,
    options=LOTUS_OPTIONS,
)
