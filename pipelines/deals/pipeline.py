"""The pipeline `deals`, declared."""

from __future__ import annotations

from datetime import timedelta

from etl.declare.pipeline import Pipeline
from etl.sink.destinations import tables
from pipelines.deals import DATABASE
from pipelines.deals.record import Deal, to_row
from pipelines.deals.selection import OPTIONS, deals_of_node, of_other_network, select

PIPELINE = Pipeline(
    name="deals",
    record=Deal,
    match=("Proposal", "Client"),
    envelope=("result",),
    row=to_row,
    destination=tables("pipelines.deals.store:STORE"),
    select=select,
    options=OPTIONS,
    default_source="https://marketdeals.s3.amazonaws.com/StateMarketDeals.json.zst",
    source_variables=("MARKET_DEAL_URL",),
    named_sources={"lotus": deals_of_node},
    stale_after=timedelta(hours=6),  # it is made every hour, and sometimes hours late
    default_database=DATABASE,
    unmatched=of_other_network,
)
