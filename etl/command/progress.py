"""How far a run has come: figures in shared memory, shown by the parent.

Each figure has one process that writes it, so there is nothing to lock: aligned 8-byte stores are whole
on every machine that CPython runs on.
"""

from __future__ import annotations

import logging
import mmap
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

LOG_SECONDS = 15.0
"""How often a line is logged where there is no terminal."""

_FIELDS = (
    "source_size",  # the reader: compressed bytes in all, 0 if unknown
    "bytes_read",  # the reader: compressed
    "bytes_decoded",  # the reader
    "records",  # the writer
    "matched",  # the writer
    "rejected",  # the writer
    "run_id",  # the writer
    "peak_memory_bytes",  # the parent
)

logger = logging.getLogger(__name__)


class Figures:
    """The figures of one run, as attributes, shared with the processes forked after it was made."""

    source_size: int
    bytes_read: int
    bytes_decoded: int
    records: int
    matched: int
    rejected: int
    run_id: int
    peak_memory_bytes: int

    def __init__(self) -> None:
        object.__setattr__(self, "_cells", memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q"))

    def __getattr__(self, name: str) -> int:
        try:
            cell: int = object.__getattribute__(self, "_cells")[_FIELDS.index(name)]
        except ValueError:
            raise AttributeError(name) from None
        return cell

    def __setattr__(self, name: str, value: Any) -> None:
        object.__getattribute__(self, "_cells")[_FIELDS.index(name)] = value


class ProgressLog:
    """One line now and then."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._started = self._latest = time.monotonic()

    def update(self) -> None:
        """Log a line if it is time."""
        now = time.monotonic()
        if now - self._latest < LOG_SECONDS:
            return
        self._latest = now
        figures = self._figures
        share = f" ({figures.bytes_read / figures.source_size:.0%})" if figures.source_size else ""
        rate = figures.bytes_decoded / 1e6 / (now - self._started)
        logger.info(
            "read %s bytes%s, decoded %s at %.0f MB/s: %s records, %s matches, %s rejects",
            f"{figures.bytes_read:,}", share, f"{figures.bytes_decoded:,}", rate,
            f"{figures.records:,}", f"{figures.matched:,}", f"{figures.rejected:,}",
        )  # fmt: skip

    def close(self) -> None:
        """Nothing is left to do."""


class ProgressBar:
    """A bar of compressed bytes on the terminal."""

    def __init__(self, figures: Figures) -> None:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # no thread: the parent forks
        self._figures = figures
        self._bar: tqdm[Any] = tqdm(unit="B", unit_scale=True, file=sys.stderr, dynamic_ncols=True)

    def update(self) -> None:
        """Redraw."""
        figures = self._figures
        self._bar.total = figures.source_size or None
        self._bar.set_postfix(records=f"{figures.records:,}", matches=f"{figures.matched:,}", refresh=False)
        self._bar.update(figures.bytes_read - self._bar.n)

    def close(self) -> None:
        """Leave the finished bar standing."""
        self.update()
        self._bar.close()
