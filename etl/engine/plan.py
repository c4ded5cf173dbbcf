"""One run as it was asked for: everything that the processes need to know, fixed before they start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from etl.database.target import Target
from etl.declare.destination import Destination
from etl.declare.fingerprint import digest
from etl.declare.location import BUSY, Source
from etl.declare.pipeline import Pipeline, Selection

MEBIBYTE = 1 << 20

CHUNK_BYTES = 4 * MEBIBYTE
"""How much is cut at a time: between 0.5 and 4 MiB it makes no difference in CPU time, but processes wait
for each other with every chunk."""

RECORD_BYTES = 4 * MEBIBYTE
"""How long a record may be, and so the size of a slab."""

MOST_THREADS = 4
"""How many threads decompress at most. One for every two cores should keep up with the workers on all of
them (0.5 s of CPU time a GB against some 0.4). On two it is the reader itself: that saves 0.15 s."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slabs_for(workers: int) -> int:
    """Return how many slabs there are for so many workers.

    While the writer lets results come together, their slabs are not free: each worker goes through some
    1.5 GB a second, so two or three chunks in 8 ms, and has another one at hand and one before it.
    """
    return 4 * workers + 6


@dataclass(frozen=True)
class Plan:
    """What one run shall do."""

    pipeline: Pipeline
    selection: Selection
    sources: tuple[Source, ...]
    target: Target
    destination: Destination
    """The pipeline's, or the one that was named in its place; bound to this run."""
    workers: int
    slabs: int
    threads: int = 1
    """They decompress, where a feed's frames can be told apart."""
    chunk_bytes: int = CHUNK_BYTES
    record_bytes: int = RECORD_BYTES
    batch_rows: int | None = None
    """How many rows are staged at a time; None leaves it to the destination."""
    on_error: str = "skip"
    max_rejects: int = 100
    rejects_file: Path | None = None
    dry_run: bool = False
    limit: int | None = None
    allow_empty: bool = False
    wait_lock: bool = False
    force: bool = False
    stale_after: timedelta | None = None
    retry_for: timedelta = BUSY
    """For how long what a server cannot serve now is tried again."""

    @property
    def sweeps(self) -> bool:
        """Whether a run that comes to its end has seen every record there is."""
        return self.limit is None and self.on_error != "salvage"

    @property
    def may_skip(self) -> bool:
        """Whether a feed that has not changed needs not be read again."""
        served = len(self.sources) == 1 and self.sources[0].is_served
        there = self.destination.keeps_what_was_written
        return self.sweeps and served and there and not (self.force or self.dry_run)

    @property
    def fingerprint(self) -> str:
        """A digest of what is asked of which feed."""
        tolerated = self.on_error, self.max_rejects  # what was tolerated once may not be now
        file = None if self.destination.file is None else str(self.destination.file.absolute())
        written = self.destination.declared, file
        uris = [source.uri for source in self.sources]
        return digest(self.pipeline.fingerprint, self.selection.fingerprint, uris, tolerated, written)

    @property
    def shown_sources(self) -> list[str]:
        """The sources as they may be shown: without credentials and queries."""
        return [source.shown for source in self.sources]
