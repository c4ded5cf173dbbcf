"""The store of `bench.staged`: the tables of the pipeline `deals`, and no merge into them."""

from __future__ import annotations

from dataclasses import replace

from pipelines.deals.store import STORE as DEALS

STORE = replace(
    DEALS,
    merge=lambda _run_id, _selection, _staging: (),
    sweep=lambda _run_id, _selection: (),
    overview=lambda _selection: None,
)
