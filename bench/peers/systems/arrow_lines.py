"""pyarrow.json: JSON lines to Parquet, block by block."""

import sys

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

BLOCK = 16 << 20
TEXT, WHOLE = pa.string(), pa.int64()
PROPOSAL = {
    "PieceCID": pa.struct({"/": TEXT}),
    "PieceSize": WHOLE,
    "VerifiedDeal": pa.bool_(),
    "Client": TEXT,
    "Provider": TEXT,
    "Label": TEXT,
    "StartEpoch": WHOLE,
    "EndEpoch": WHOLE,
    "StoragePricePerEpoch": TEXT,
    "ProviderCollateral": TEXT,
    "ClientCollateral": TEXT,
}
STATE = dict.fromkeys(("SectorNumber", "SectorStartEpoch", "LastUpdatedEpoch", "SlashEpoch"), WHOLE)
COLUMNS = {
    "deal_id": "DealID",
    "client": "Proposal.Client",
    "provider": "Proposal.Provider",
    "label": "Proposal.Label",
    "piece_cid": "Proposal.PieceCID./",
    "piece_size": "Proposal.PieceSize",
    "verified": "Proposal.VerifiedDeal",
    "price": "Proposal.StoragePricePerEpoch",
    "provider_collateral": "Proposal.ProviderCollateral",
    "client_collateral": "Proposal.ClientCollateral",
    "start_epoch": "Proposal.StartEpoch",
    "end_epoch": "Proposal.EndEpoch",
    "sector_number": "State.SectorNumber",
    "sector_start_epoch": "State.SectorStartEpoch",
    "last_updated_epoch": "State.LastUpdatedEpoch",
    "slash_epoch": "State.SlashEpoch",
}


def main(feed: str, output: str) -> None:
    """Write every deal to a Parquet file."""
    schema = pa.schema({"Proposal": pa.struct(PROPOSAL), "State": pa.struct(STATE), "DealID": TEXT})
    reader = pyarrow.json.open_json(
        feed,
        read_options=pyarrow.json.ReadOptions(block_size=BLOCK),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
    )
    writer = None
    for batch in reader:
        flat = pa.Table.from_batches([batch])
        while any(pa.types.is_struct(field.type) for field in flat.schema):
            flat = flat.flatten()
        part = pa.table({name: flat[path] for name, path in COLUMNS.items()})
        part = part.set_column(0, "deal_id", part["deal_id"].cast(WHOLE))
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(output, part.schema, compression="zstd")
        writer.write_table(part)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
