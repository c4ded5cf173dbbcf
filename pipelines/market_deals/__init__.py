"""Filecoin's storage deals, all of them: the feed `StateMarketDeals` as a table for analysis."""
