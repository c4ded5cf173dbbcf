"""The writer process: the only one that touches the database while a run goes on.

Batches are applied in source order to a staging table; at the end of a feed that was proved complete, one
transaction merges them, and writes the run's row. Whoever reads the tables sees them as they were or as
they are now, never between.

The feed is opened only when the run holds the lock, so that it is no older than what earlier runs have
merged. Where no connection is needed for that, reading goes on while SQLAlchemy is still being imported.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from etl.database.database import Lock
from etl.declare.location import Version
from etl.engine.channels import Channel, Gone, Lines
from etl.engine.figures import Figures
from etl.engine.messages import Attempt, Batch, Credit, Done, End, Lost, Ready, Result, Word
from etl.engine.plan import Plan
from etl.errors import MalformedFeed, ProcessDied, TooManyRejects
from etl.ledger.report import RunReport, Written
from etl.records.found import Reject, Rows
from etl.sink.rejects_file import RejectsFile

if TYPE_CHECKING:
    from etl.engine.session import Session

NAP_SECONDS = 0.008
"""How long results are let come together: the reader is not woken for every slab that is free again. Less
than the slabs hold bytes for (`etl.engine.plan`)."""

FEW_ROWS = 100
"""Of more rows in a chunk, few results are enough to fill a worker's pipe: they are not let wait."""

EARLY_ROWS = 40_000
"""How many rows may wait for the session to be opened: some 10 MB."""


class _Losses:
    """Which chunks have killed their workers, and what is found out about the one at hand."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._deadly: list[int] = []
        self.attempted: int | None = None
        """The record that a worker turned to last, where the chunk is being taken apart."""

    def note(self, turn: int, sequence: int) -> Lost:
        """Return what the reader has to do about a chunk whose worker has died.

        Once may be an accident, and it is tried again. The second time it is taken apart, and from then on
        the record that was turned to last is the one that kills.
        """
        self._times[sequence] += 1
        if self._times[sequence] == 1:
            self._deadly = []
            self.attempted = None
            return Lost(turn, sequence, None)
        if self.attempted is not None:
            self._deadly.append(self.attempted)
            self.attempted = None
        return Lost(turn, sequence, tuple(self._deadly))


def _import_session() -> None:
    with suppress(Exception):  # whoever imports it again is told
        import_module("etl.engine.session")


class Writer:
    """Stages and merges the batches of one run."""

    def __init__(self, plan: Plan, report: RunReport, figures: Figures) -> None:
        self._plan = plan
        self._report = report
        self._figures = figures
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._rows = 0
        """How many rows the records that matched have given."""
        self._rejects: list[Reject] = []
        self._rejects_file: RejectsFile | None = None
        self._full = False
        self._stack = ExitStack()
        self._lock: Lock | None = None
        self._importing: Thread | None = None
        self._session: Session | None = None

    def run(self, lines: Lines, words: Channel[Word]) -> Written:
        """Apply what the workers send until the feed is complete, then merge and commit.

        Raises:
            DatabaseError: the database or the disk refuses.
            DataError: the feed is malformed, or too much of it was rejected.
            LockHeld: another run is at work.
        """
        with self._stack as stack:
            words.put(Ready(self._begin()))
            if self._plan.rejects_file is not None:
                self._opened()  # if the file cannot be written, the run's row says so
                self._rejects_file = stack.enter_context(RejectsFile(self._plan.rejects_file))
            end = self._receive(lines, words)
            session = self._opened()
            if not end.modified:  # and what an earlier run has rejected stays in the file
                return session.skip()
            if self._rejects_file is not None:
                self._rejects_file.complete()
            if self._waiting:
                self._stage()
            return session.commit(end, self._rejects, self._rows)

    # The session -----------------------------------------------------------------------------------

    def _begin(self) -> Version | None:
        """Take the run's lock, and open the session now or later; return what is known of the feed."""
        if not (self._plan.may_skip or self._plan.dry_run):
            self._lock = self._plan.target.database.early_lock()
        if self._lock is None:
            return self._open()
        self._stack.callback(self._lock.close)
        self._importing = Thread(target=_import_session, daemon=True)
        self._importing.start()
        return None

    def _open_unless(self, results: Channel[Result]) -> None:
        """Open the session if it can be, or when it can be; in the latter case rather look at results."""
        while self._importing is not None and self._importing.is_alive():
            if not results.empty():
                return
            self._importing.join(NAP_SECONDS)
        self._open()

    def _open(self) -> Version | None:
        if self._importing is not None:
            self._importing.join()
        from etl.engine.session import Session

        session = Session(self._plan, self._report, self._figures, self._lock)
        self._session = self._stack.enter_context(session)
        return self._session.open()

    def _opened(self) -> Session:
        """Return the session; open it, if that was not done yet."""
        if self._session is None:
            self._open()
        assert self._session is not None
        return self._session

    def _batch_rows(self) -> int:
        """Return how many rows are staged at a time."""
        if self._session is None:
            return self._plan.batch_rows or EARLY_ROWS
        return self._session.batch_rows

    # Batches ---------------------------------------------------------------------------------------

    def _receive(self, lines: Lines, words: Channel[Word]) -> End:
        """Take the results in source order; answer each with a credit."""
        turn = sequence = 0
        nap = 0.0
        refusing = False
        losses = _Losses()
        while True:
            results = lines[turn].results
            if self._session is None:
                self._open_unless(results)
            try:
                result = results.get(nap)
            except Gone:
                if not lines.replace(turn):
                    raise ProcessDied("too many worker processes died") from None
                words.put(losses.note(turn, sequence))
                continue
            if isinstance(result, Attempt):
                losses.attempted = result.number
                continue
            if isinstance(result, End):
                words.put(Done())
                return result
            turn, sequence = result.following, sequence + 1
            nap = NAP_SECONDS if result.matched <= FEW_ROWS else 0.0
            # After a chunk that was cut wrong, nothing counts until the reader has cut it exactly.
            refusing = not result.exact and (refusing or result.malformed is not None)
            if not refusing and not self._full:
                self._apply(result)
            words.put(Credit(result.slab, applied=not refusing, stop=self._full))

    def _apply(self, batch: Batch) -> None:
        if batch.malformed is not None:
            raise MalformedFeed(
                f"{self._source(batch)}: not well-formed JSON at byte {batch.malformed.offset:,}:"
                f" {batch.malformed.reason}"
            )
        parts, matched, rows = batch.parts, batch.matched, batch.rows
        limit = self._plan.limit
        if limit is not None and self._report.matched + matched >= limit:
            matched = limit - self._report.matched
            # None is packed then.
            found = [row for part in parts if isinstance(part, list) for row in part][:matched]
            parts, rows = [found], len(found)
            self._full = True
        self._report.records += batch.records
        self._report.matched += matched
        for reject in batch.rejects:
            self._reject(reject, batch)
        if rows:
            self._waiting += parts
            self._waiting_rows += rows
            self._rows += rows
        if self._waiting_rows >= self._batch_rows():
            self._stage()
        self._figures.records = self._report.records
        self._figures.matched = self._report.matched
        self._figures.rejected = self._report.rejected

    def _reject(self, reject: Reject, batch: Batch) -> None:
        self._report.rejected += 1
        if self._rejects_file is not None:
            self._rejects_file.write(reject)
        allowed = 0 if self._plan.on_error == "fail" else self._plan.max_rejects
        if self._report.rejected > allowed:
            many = f"more than {allowed:,} records rejected; the last, " if allowed else ""
            raise TooManyRejects(
                f"{self._source(batch)}: {many}the record at byte {reject.offset:,}: {reject.reason}"
            )
        self._rejects.append(reject)

    def _source(self, batch: Batch) -> str:
        return self._plan.shown_sources[batch.source]

    def _stage(self) -> None:
        self._opened().stage(self._waiting)
        self._waiting, self._waiting_rows = [], 0
