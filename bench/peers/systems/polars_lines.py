"""Polars: JSON lines to Parquet, by its streaming engine."""

import sys

import polars as pl

PROPOSAL = {
    "PieceCID": pl.Struct({"/": pl.String}),
    "PieceSize": pl.Int64,
    "VerifiedDeal": pl.Boolean,
    "Client": pl.String,
    "Provider": pl.String,
    "Label": pl.String,
    "StartEpoch": pl.Int64,
    "EndEpoch": pl.Int64,
    "StoragePricePerEpoch": pl.String,
    "ProviderCollateral": pl.String,
    "ClientCollateral": pl.String,
}
STATE = dict.fromkeys(("SectorNumber", "SectorStartEpoch", "LastUpdatedEpoch", "SlashEpoch"), pl.Int64)


def main(feed: str, output: str, *wallets: str) -> None:
    """Write the wallets' deals, or all, to a Parquet file."""
    schema = {"Proposal": pl.Struct(PROPOSAL), "State": pl.Struct(STATE), "DealID": pl.String}
    deals = pl.scan_ndjson(feed, schema=schema)
    proposal, state = pl.col("Proposal").struct, pl.col("State").struct
    if wallets:
        deals = deals.filter(proposal.field("Client").is_in(list(wallets)))
    deals.select(
        pl.col("DealID").cast(pl.Int64).alias("deal_id"),
        proposal.field("Client").alias("client"),
        proposal.field("Provider").alias("provider"),
        proposal.field("Label").alias("label"),
        proposal.field("PieceCID").struct.field("/").alias("piece_cid"),
        proposal.field("PieceSize").alias("piece_size"),
        proposal.field("VerifiedDeal").alias("verified"),
        proposal.field("StoragePricePerEpoch").alias("price"),
        proposal.field("ProviderCollateral").alias("provider_collateral"),
        proposal.field("ClientCollateral").alias("client_collateral"),
        proposal.field("StartEpoch").alias("start_epoch"),
        proposal.field("EndEpoch").alias("end_epoch"),
        state.field("SectorNumber").alias("sector_number"),
        state.field("SectorStartEpoch").alias("sector_start_epoch"),
        state.field("LastUpdatedEpoch").alias("last_updated_epoch"),
        state.field("SlashEpoch").alias("slash_epoch"),
    ).sink_parquet(output, compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
