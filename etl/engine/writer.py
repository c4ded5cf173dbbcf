"""The writer: the only one that touches the database while a run goes on.

Batches are applied in source order to a staging table; at the end of a feed that was proved complete, one
transaction merges them, and writes the run's row. Whoever reads the tables sees them as they were or as
they are now, never between.

The feed is opened only when the run holds the lock, so that it is no older than what earlier runs have
merged. Where no connection is needed for that, reading goes on while SQLAlchemy is still being imported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from etl.database.database import Lock
from etl.declare.location import Version
from etl.engine.figures import Figures
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.errors import MalformedFeed, TooManyRejects
from etl.ledger.report import RunReport, Written
from etl.records.found import Batch, Reject, Rows
from etl.sink.rejects_file import RejectsFile

if TYPE_CHECKING:
    from etl.engine.session import Session

EARLY_ROWS = 40_000
"""How many rows may wait for the session to be opened: some 10 MB."""

IMPORT_SECONDS = 0.008
"""How long the import of the session is waited for before it is looked again whether there is more to
do."""


def _import_session() -> None:
    with suppress(Exception):  # whoever imports it again is told
        import_module("etl.engine.session")


class Writer:
    """Stages and merges the batches of one run; a context that ends with its connection."""

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
        self.is_full = False
        """As many records matched as were asked for: no more batches count."""
        self._stack = ExitStack()
        self._lock: Lock | None = None
        self._importing: Thread | None = None
        self._session: Session | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self) -> Version | None:
        """Take the run's lock, and open the session now or later; return what is known of the feed.

        Raises:
            DatabaseError: the database or the disk refuses.
            LockHeld: another run is at work.
        """
        if not (self._plan.may_skip or self._plan.dry_run):
            self._lock = self._plan.target.database.early_lock()
        if self._lock is None:
            return self._open()
        self._stack.callback(self._lock.close)
        self._importing = Thread(target=_import_session, daemon=True)
        self._importing.start()
        return None

    def open_rejects(self) -> None:
        """See that the file of rejects can be written, if there is to be one.

        Raises:
            DatabaseError: it cannot.
        """
        if self._plan.rejects_file is not None:
            self._opened()  # if the file cannot be written, the run's row says so
            self._rejects_file = self._stack.enter_context(RejectsFile(self._plan.rejects_file))

    def open_when_idle(self, is_idle: Callable[[], bool]) -> None:
        """Open the session if it can be, or as soon as it can be; but return when there is more to do."""
        while self._session is None:
            if self._importing is None or not self._importing.is_alive():
                self._open()
                return
            if not is_idle():
                return
            self._importing.join(IMPORT_SECONDS)

    def apply(self, batch: Batch, source: int) -> None:
        """Take up the next batch, of one of the plan's sources.

        Raises:
            MalformedFeed: the batch says so.
            TooManyRejects: more records were rejected than the run allows.
            DatabaseError: the database or the disk refuses.
        """
        if self.is_full:
            return
        if batch.malformed is not None:
            raise MalformedFeed(f"{self._plan.shown_sources[source]}: {batch.malformed}")
        batch = self._limited(batch)
        self._report.records += batch.records
        self._report.matched += batch.matched
        for reject in batch.rejects:
            self._reject(reject, source)
        if batch.rows:
            self._waiting += batch.parts
            self._waiting_rows += batch.rows
            self._rows += batch.rows
        if self._waiting_rows >= self._batch_rows():
            self._stage()
        self._figures.records = self._report.records
        self._figures.matched = self._report.matched
        self._figures.rejected = self._report.rejected

    def finish(self, end: End) -> Written:
        """Merge and commit, after the last batch.

        Raises:
            DatabaseError: the database or the disk refuses.
            FiguresDisagree: rows were lost or came to be on the way.
        """
        session = self._opened()
        if not end.modified:  # and what an earlier run has rejected stays in the file
            return session.skip()
        if self._rejects_file is not None:
            self._rejects_file.complete()
        if self._waiting:
            self._stage()
        return session.commit(end, self._rejects, self._rows)

    # The session -----------------------------------------------------------------------------------

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

    def _limited(self, batch: Batch) -> Batch:
        """Return a batch with no more rows than are still asked for."""
        limit = self._plan.limit
        if limit is None or self._report.matched + batch.matched < limit:
            return batch
        self.is_full = True
        matched = limit - self._report.matched
        # None is packed where there is a limit.
        rows = [row for part in batch.parts if isinstance(part, list) for row in part][:matched]
        return batch._replace(matched=matched, rows=len(rows), parts=[rows])

    def _reject(self, reject: Reject, source: int) -> None:
        self._report.rejected += 1
        if self._rejects_file is not None:
            self._rejects_file.write(reject)
        allowed = 0 if self._plan.on_error == "fail" else self._plan.max_rejects
        if self._report.rejected > allowed:
            many = f"more than {allowed:,} records rejected; the last, " if allowed else ""
            raise TooManyRejects(
                f"{self._plan.shown_sources[source]}: {many}the record at byte {reject.offset:,}:"
                f" {reject.reason}"
            )
        self._rejects.append(reject)

    def _stage(self) -> None:
        self._opened().stage(self._waiting)
        self._waiting, self._waiting_rows = [], 0
