"""ClickHouse's local engine (chdb): the object as it is, or JSON lines, to Parquet."""

import sys

import chdb

STRUCTURE = """
    Proposal Tuple(
        PieceCID Tuple(`/` Nullable(String)), PieceSize Int64, VerifiedDeal Bool, Client String,
        Provider String, Label Nullable(String), StartEpoch Int64, EndEpoch Int64,
        StoragePricePerEpoch String, ProviderCollateral String, ClientCollateral String),
    State Tuple(
        SectorNumber Nullable(Int64), SectorStartEpoch Int64, LastUpdatedEpoch Int64, SlashEpoch Int64)
"""


def main(feed: str, output: str, *wallets: str) -> None:
    """Write the wallets' deals, or all, to a Parquet file."""
    lines = ".jsonl" in feed
    key = "DealID" if lines else "deal_id"
    shape = "JSONEachRow" if lines else "JSONObjectEachRow"
    quoted = ", ".join(f"'{wallet}'" for wallet in wallets)
    chdb.query(f"""
        INSERT INTO FUNCTION file('{output}', Parquet)
        SELECT
            toInt64({key}) AS deal_id, Proposal.Client AS client, Proposal.Provider AS provider,
            Proposal.Label AS label, Proposal.PieceCID.`/` AS piece_cid, Proposal.PieceSize AS piece_size,
            Proposal.VerifiedDeal AS verified, Proposal.StoragePricePerEpoch AS price,
            Proposal.ProviderCollateral AS provider_collateral,
            Proposal.ClientCollateral AS client_collateral,
            Proposal.StartEpoch AS start_epoch, Proposal.EndEpoch AS end_epoch,
            State.SectorNumber AS sector_number, State.SectorStartEpoch AS sector_start_epoch,
            State.LastUpdatedEpoch AS last_updated_epoch, State.SlashEpoch AS slash_epoch
        FROM file('{feed}', {shape}, '{key} String, {STRUCTURE}')
        {f"WHERE Proposal.Client IN ({quoted})" if wallets else ""}
        SETTINGS format_json_object_each_row_column_for_object_name = 'deal_id',
            output_format_parquet_compression_method = 'zstd'
    """)


if __name__ == "__main__":
    main(*sys.argv[1:])
