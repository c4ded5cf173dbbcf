"""The columns of the Parquet file, named as in the tables of the pipeline `deals`.

Amounts (attoFIL) are texts, as spelled: no type of Parquet's holds every amount that the chain can.
"""

from __future__ import annotations

import pyarrow as pa

from etl.sink.arrow import Columns

COLUMNS = Columns(
    schema=pa.schema(
        [
            pa.field("deal_id", pa.int64(), nullable=False),
            pa.field("client_id", pa.string(), nullable=False),
            pa.field("provider", pa.string(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("piece_cid", pa.string()),
            pa.field("piece_size", pa.int64(), nullable=False),
            pa.field("verified", pa.bool_(), nullable=False),
            pa.field("price", pa.string(), nullable=False),
            pa.field("provider_collateral", pa.string(), nullable=False),
            pa.field("client_collateral", pa.string(), nullable=False),
            pa.field("start_epoch", pa.int64(), nullable=False),
            pa.field("end_epoch", pa.int64(), nullable=False),
            pa.field("sector_number", pa.int64()),
            pa.field("sector_start_epoch", pa.int64(), nullable=False),
            pa.field("last_updated_epoch", pa.int64(), nullable=False),
            pa.field("slash_epoch", pa.int64(), nullable=False),
        ]
    ),
    key="deal_id",
    few=("client_id", "provider", "price", "client_collateral"),
)
