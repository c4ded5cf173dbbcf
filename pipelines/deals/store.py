"""The store of the pipeline `deals`, declared."""

from __future__ import annotations

from etl.sink.store import Store
from pipelines.deals.merge import merge, overview, sweep
from pipelines.deals.tables import SCHEMA, staging

STORE = Store(schema=SCHEMA, staging=staging, merge=merge, sweep=sweep, overview=overview)
