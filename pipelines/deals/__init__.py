"""Filecoin's storage deals: the feed `StateMarketDeals`, for the wallets that an operator tracks."""

SUMMARY = "Filecoin storage deals of the tracked wallets, each with its state over time"
PIPELINE = "pipelines.deals.pipeline:PIPELINE"
COMMANDS = {"wallets": "pipelines.deals.wallets:wallets"}
DATABASE = "sqlite:///deals.db"
SAMPLE = "pipelines.deals.sample:sample_deals"
