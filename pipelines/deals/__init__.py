"""Filecoin's storage deals: the feed `StateMarketDeals`, for the wallets that an operator tracks."""
