"""DuckDB: JSON lines to Parquet."""

import sys

import duckdb

COLUMNS = """{
    Proposal: 'STRUCT(PieceCID STRUCT("/" VARCHAR), PieceSize BIGINT, VerifiedDeal BOOLEAN, Client VARCHAR,
        Provider VARCHAR, Label VARCHAR, StartEpoch BIGINT, EndEpoch BIGINT, StoragePricePerEpoch VARCHAR,
        ProviderCollateral VARCHAR, ClientCollateral VARCHAR)',
    State: 'STRUCT(SectorNumber BIGINT, SectorStartEpoch BIGINT, LastUpdatedEpoch BIGINT,
        SlashEpoch BIGINT)',
    DealID: 'BIGINT'}
"""


def main(feed: str, output: str, *wallets: str) -> None:
    """Write the wallets' deals, or all, to a Parquet file."""
    quoted = ", ".join(f"'{wallet}'" for wallet in wallets)
    duckdb.sql("SET preserve_insertion_order = false")
    duckdb.sql(f"""
        COPY (
            SELECT
                DealID AS deal_id, Proposal.Client AS client, Proposal.Provider AS provider,
                Proposal.Label AS label, Proposal.PieceCID."/" AS piece_cid,
                Proposal.PieceSize AS piece_size, Proposal.VerifiedDeal AS verified,
                Proposal.StoragePricePerEpoch AS price,
                Proposal.ProviderCollateral AS provider_collateral,
                Proposal.ClientCollateral AS client_collateral,
                Proposal.StartEpoch AS start_epoch, Proposal.EndEpoch AS end_epoch,
                State.SectorNumber AS sector_number, State.SectorStartEpoch AS sector_start_epoch,
                State.LastUpdatedEpoch AS last_updated_epoch, State.SlashEpoch AS slash_epoch
            FROM read_json('{feed}', format = 'newline_delimited', columns = {COLUMNS})
            {f"WHERE Proposal.Client IN ({quoted})" if wallets else ""}
        ) TO '{output}' (FORMAT parquet, COMPRESSION zstd)
    """)


if __name__ == "__main__":
    main(*sys.argv[1:])
