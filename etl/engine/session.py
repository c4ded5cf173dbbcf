"""The writer's session with the database: from the lock to the commit.

Where the lock is kept with a transaction, all of that is this one transaction, but for the run's row, which
is committed before it: so a run is right also where a pooler gives every transaction to another session.
While nothing is staged, it holds nothing back that others do.

A server that restarts or a connection that is cut does not end a run: what was staged is kept as well, and
goes into a new transaction. The merge is done again as a whole, unless the ledger says that it was
committed.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Sequence

from etl.database.access import database_errors, writing
from etl.database.database import Lock
from etl.database.schema import prepare
from etl.declare.destination import Rows, Staging
from etl.declare.location import Version
from etl.engine.child import termination_held
from etl.engine.connection import LockedConnection
from etl.engine.figures import Figures
from etl.engine.merge import Merge, asked_of_feed
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.engine.replay import KeptRows
from etl.errors import ConnectionLost, LockHeld
from etl.faults import reached
from etl.ledger import runs as ledger
from etl.ledger.report import RunReport, Written, disagreement
from etl.records.found import Reject

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait, in seconds, before each attempt to open a session again."""

MERGES = 3
"""How often a merge may be begun whose connection breaks."""

logger = logging.getLogger(__name__)


class Session:
    """Stages rows and merges them; a context that ends with its connection.

    `lock` is the run's, if it was taken already.
    """

    def __init__(self, plan: Plan, report: RunReport, figures: Figures, lock: Lock | None = None) -> None:
        self._plan = plan
        self._report = report
        self._figures = figures
        self._link = LockedConnection(plan, lock)
        self._staging: Staging | None = None
        self._kept: KeptRows | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_staging()
        self._link.close()
        if self._kept is not None:
            self._kept.close()

    @property
    def batch_rows(self) -> int:
        """How many rows are best staged at a time."""
        return self._opened.batch_rows

    @property
    def _opened(self) -> Staging:
        assert self._staging is not None
        return self._staging

    def open(self) -> Version | None:
        """Take the lock and prepare the tables; return what is known of the feed, if it may be skipped.

        Raises:
            DatabaseError: the database refuses.
            LockHeld: another run is at work.
        """
        with database_errors("opening"):
            self._link.open(self._plan.wait_lock, self._report.run_id)
            reached("locked")
            known = None
            if not self._plan.dry_run:
                self._begin()
                known = self._known_version()
            reached("begun")
            self._open_staging()
        if self._opened.can_restore:
            self._kept = KeptRows()
        return known

    def _begin(self) -> None:
        """Create what is missing, and the run's row, so that even a killed run is on record."""
        connection = self._link.connection
        # The parent must know of the row if there is one: no end between the two.
        with termination_held():
            with writing(connection):
                prepare(connection, ledger.schema_for(self._report), *self._plan.destination.schemas())
                self._report.run_id = ledger.begin(connection, self._report)
            self._figures.run_id = self._report.run_id
        self._link.lock(self._plan.wait_lock, self._report.run_id)

    def _known_version(self) -> Version | None:
        if not self._plan.may_skip:
            return None
        with self._link.transaction():
            return ledger.known_version(self._link.connection, *asked_of_feed(self._plan))

    def _open_staging(self) -> None:
        plan = self._plan
        self._staging = plan.destination.open(self._link.connection, plan.batch_rows, plan.dry_run)

    def _close_staging(self) -> None:
        if self._staging is not None:
            self._staging.close()
            self._staging = None

    # Staging ---------------------------------------------------------------------------------------

    def stage(self, parts: Sequence[Rows]) -> None:
        """Load rows, which are packed here if they are not yet.

        Raises:
            DatabaseError: the database or the disk refuses.
            PipelineFailed: the rows do not fit.
        """
        pack = self._plan.destination.pack
        packed = [part if isinstance(part, bytes) else pack(part) for part in parts]
        if self._kept is not None:
            self._kept.add(packed)
        try:
            with database_errors("staging"), self._link.transaction():
                self._opened.load(packed)
        except ConnectionLost as lost:
            self._reopen(lost)
        reached("staged")

    def _reopen(self, lost: ConnectionLost) -> None:
        """Go on on a new connection, with all that was staged; raise `lost` if there is none to be had."""
        if self._kept is None:
            raise lost
        for pause in PAUSES:
            logger.warning("%s; trying again in %g s", lost.message, pause)
            time.sleep(pause)
            try:
                with database_errors("opening again"):
                    self._close_staging()
                    self._link.close_broken()
                    self._link.open(wait=False, run_id=self._report.run_id)
                    self._link.refuse_if_overtaken(self._report.run_id)
                    self._open_staging()
                    self._kept.load_into(self._opened)
                return
            except ConnectionLost as again:
                lost = again
            except LockHeld as held:  # by our own last session, if the server does not know of its end yet
                logger.warning("%s", held.message)
        raise lost

    # The end ---------------------------------------------------------------------------------------

    def commit(self, end: End, rejects: list[Reject], rows: int) -> Written:
        """Merge the staged rows, so many in all, in one transaction with the run's row.

        Raises:
            DatabaseError: the database or the disk refuses.
            FiguresDisagree: rows were lost or came to be on the way; nothing is committed.
        """
        with termination_held() as leave_if_asked:
            merge = Merge(self._plan, self._report, end, rejects, self._figures, leave_if_asked)
            for attempt in range(1, MERGES + 1):
                try:
                    with database_errors("merging"):
                        self._finish_staging(rows)
                        written = merge.commit(self._link.connection, self._opened)
                    break
                except ConnectionLost as lost:
                    leave_if_asked()
                    if attempt == MERGES:
                        raise
                    self._reopen(lost)
                    with database_errors("merging"), self._link.transaction():
                        if ledger.was_committed(self._link.connection, self._report.run_id):
                            written = merge.written(self._link.connection, self._opened)
                            break
            # Committed, and that must be told: a SIGTERM that came meanwhile comes too late.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return written

    def _finish_staging(self, rows: int) -> None:
        with self._link.transaction():
            self._opened.finish()
            if (staged := self._opened.count()) != rows:
                raise disagreement(f"{rows:,} rows were found, and {staged:,} are staged")
        reached("merging")

    def skip(self) -> Written:
        """Note in the run's row that there was nothing to do."""
        self._report.finish("not_modified")
        with database_errors("recording the run"), writing(self._link.connection):
            ledger.record(self._link.connection, self._report)
        return Written(self._report, (), [])
