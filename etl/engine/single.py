"""A run whose work is all done in one process: it is read, parsed and written batch by batch.

For machines with one core, for feeds that are small, and for whoever looks for a mistake. What is found is
the same as by several processes (`etl.engine.supervisor`), as both drive `etl.engine.scan`'s parts.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

from etl.declare.location import Version
from etl.engine.feeds import opened, warnings_of
from etl.engine.figures import Figures
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.engine.scan import scan
from etl.engine.worker import handling_of, wanted_by
from etl.engine.writer import Writer
from etl.errors import EmptyFeed
from etl.faults import reached
from etl.ledger.report import RunReport, Written
from etl.records.found import Batch
from etl.source.feed import Feed

SELDOM = 100_000
"""After how many new objects cycles are looked for: rows and records are in none."""

logger = logging.getLogger(__name__)


def run_in_this_process(plan: Plan, report: RunReport, figures: Figures) -> Written:
    """Carry out a plan and return what was written.

    Raises:
        EtlError: the run failed; nothing of it was committed.
    """
    gc.set_threshold(SELDOM)
    with Writer(plan, report, figures) as writer:
        known = writer.begin()
        writer.open_when_idle(lambda: True)  # a feed may be waited for, and the run is to be on record
        writer.open_rejects()
        reading = Reading(plan, figures)
        for source, batch in reading.batches(known):
            writer.apply(batch, source)
            if writer.is_full:
                break
        reached("end")
        if figures.matched == 0 and reading.modified:
            for warning in warnings_of(plan, reading.openings):
                logger.warning("%s", warning)
        return writer.finish(reading.end())


class Reading:
    """The feeds of a plan, scanned one after the other."""

    def __init__(self, plan: Plan, figures: Figures) -> None:
        self._plan = plan
        self._figures = figures
        self._wanted = wanted_by(plan)
        self._version: Version | None = None
        self.modified = True
        """A feed is another than the one that was known; if not, nothing was read."""
        self.openings: list[bytes] = []
        """The first bytes of records of every feed that has any."""

    def end(self) -> End:
        """Return what there is to say when all was read, or all that is wanted."""
        return End(self._figures.bytes_read, self._figures.bytes_decoded, self._version, self.modified)

    def batches(self, known: Version | None) -> Iterator[tuple[int, Batch]]:
        """Yield each batch with the number of its source.

        Raises:
            DataError, SourceUnavailable: as `etl.engine.scan.scan`, with the source's name.
        """
        for number, source in enumerate(self._plan.sources):
            with opened(self._plan, source, known) as feed:
                if feed is None:
                    self._version, self.modified = known, False
                    return
                self._version = feed.version
                for batch in self._scanned(feed):
                    yield number, batch

    def _scanned(self, feed: Feed) -> Iterator[Batch]:
        plan, figures = self._plan, self._figures
        figures.source_size += feed.size or 0
        base, read_before = figures.bytes_decoded, figures.bytes_read

        def show(offset: int) -> None:
            figures.bytes_read = read_before + feed.bytes_read
            figures.bytes_decoded = base + offset

        try:
            scanned = scan(
                feed, self._wanted, base=base, handling=handling_of(plan), chunk_bytes=plan.chunk_bytes,
                record_bytes=plan.record_bytes, progress=show,
            )  # fmt: skip
        except EmptyFeed:
            if not plan.allow_empty:
                raise
            show(0)
            return
        self.openings.append(scanned.opening)
        reached("opened")
        for batch in scanned:
            reached("found")
            yield batch
