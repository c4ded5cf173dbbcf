"""Filecoin's storage deals, all of them: the feed `StateMarketDeals` as a table for analysis."""

from typing import Any

SUMMARY = "All Filecoin storage deals, flat and typed, into a Parquet file"
PIPELINE = "pipelines.market_deals.pipeline:PIPELINE"
COMMANDS: dict[str, Any] = {}
DATABASE = "sqlite:///market_deals.db"
SAMPLE = "pipelines.deals.sample:sample_deals"
