"""The pipeline `deals`, declared."""

from __future__ import annotations

from datetime import timedelta

from etl.declare.pipeline import Pipeline
from etl.sink.destinations import tables
from pipelines.deals.options import OPTIONS
from pipelines.deals.record import Deal, to_row
from pipelines.deals.selection import deals_of_node, of_other_network, select

PIPELINE = Pipeline(
    name="deals",
    summary="Filecoin storage deals of the tracked wallets, each with its state over time",
    record=Deal,
    match=("Proposal", "Client"),
    envelope=("result",),
    row=to_row,
    destination=tables("pipelines.deals.store:STORE"),
    select=select,
    options=OPTIONS,
    source="https://marketdeals.s3.amazonaws.com/StateMarketDeals.json.zst",
    source_variables=("MARKET_DEAL_URL",),
    named_sources={"lotus": deals_of_node},
    figures=("head_epoch",),
    counts=("expired",),
    stale_after=timedelta(hours=6),  # it is made every hour, and sometimes hours late
    unmatched=of_other_network,
)
