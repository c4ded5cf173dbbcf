"""The store of the pipeline `market_deals`: a file, and no tables but the ledger's."""

from __future__ import annotations

import sqlalchemy as sa

from etl.database.schema import Schema
from etl.declare.pipeline import Store
from pipelines.market_deals.columns import COLUMNS

STORE = Store(
    schema=Schema("market_deals", sa.MetaData()),
    staging=COLUMNS,
    merge=lambda _run_id, _selection, _staging: (),
    sweep=lambda _run_id, _selection: (),
    overview=lambda _selection: None,
)
