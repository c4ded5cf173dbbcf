"""One run as it was asked for: everything that the processes need to know, fixed before they start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etl.pipeline import Pipeline, Selection
from etl.source import redacted

MEBIBYTE = 1 << 20

CHUNK_BYTES = 1 * MEBIBYTE
"""How much is cut at a time: large enough that the queues cost nothing (under 0.1 % of the time), small
enough to stay in a core's cache."""

RECORD_BYTES = 4 * MEBIBYTE
"""How long a record may be, and so the size of a slab."""

BATCH_ROWS = 1000
"""Rows in a bulk insert: of 100 to 20,000, the fastest into SQLite (`python -m bench micro`)."""


@dataclass(frozen=True)
class Plan:
    """What one run shall do."""

    pipeline: Pipeline
    selection: Selection
    sources: tuple[str, ...]
    database: str
    workers: int
    slabs: int
    chunk_bytes: int = CHUNK_BYTES
    record_bytes: int = RECORD_BYTES
    batch_rows: int = BATCH_ROWS
    on_error: str = "skip"
    max_rejects: int = 100
    rejects_file: Path | None = None
    dry_run: bool = False
    limit: int | None = None
    allow_empty: bool = False

    @property
    def shown_sources(self) -> list[str]:
        """The sources as they may be shown: without credentials and queries."""
        return [redacted(source) for source in self.sources]
