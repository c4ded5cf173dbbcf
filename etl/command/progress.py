"""How far a run has come, shown by the parent process: as a bar, or in the log."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from etl.engine.figures import Figures

if TYPE_CHECKING:
    from tqdm import tqdm

LOG_SECONDS = 15.0
"""How often a line is logged where there is no terminal."""

logger = logging.getLogger(__name__)


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
