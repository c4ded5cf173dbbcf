"""The writer's session with the database: from the lock to the commit, on one connection.

On PostgreSQL all of that is one transaction, but for the run's row, which is committed before it: so a run
is right also where a pooler gives every transaction to another session. While nothing is staged, it holds
nothing back that others do.

A server that restarts or a connection that is cut does not end a run on PostgreSQL: what was staged is also
kept in a file without a name, and goes into a new transaction's staging table. That transaction is done
again as a whole, unless the ledger says that it was committed.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from etl import temporary
from etl.database.access import errors_named, open_copy, open_engine, writing
from etl.database.schema import prepare
from etl.database.sqlite import address_of
from etl.declare.location import Version
from etl.declare.mistakes import maker_of_rows
from etl.declare.pipeline import Statement, Store
from etl.declare.registry import resolve
from etl.engine.child import termination_held
from etl.engine.figures import Figures
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.errors import ConnectionLost, DatabaseError, LockHeld
from etl.faults import reached
from etl.ledger import runs as ledger
from etl.ledger.lock import FileLock, take_lock
from etl.ledger.report import RunReport, Written, disagreement
from etl.records.found import Reject, Rows
from etl.sink.packing import csv_of
from etl.sink.tables import Copy, loader_for

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait, in seconds, before each attempt to open a session again."""

MERGES = 3
"""How often a merge may be begun whose connection breaks."""

logger = logging.getLogger(__name__)


class Session:
    """Stages rows and merges them; a context that ends with its connection.

    `lock` is the run's, if it was taken already.
    """

    def __init__(
        self, plan: Plan, report: RunReport, figures: Figures, lock: FileLock | None = None
    ) -> None:
        self._plan = plan
        self._report = report
        self._figures = figures
        self._lock = lock
        self._store: Store = resolve(plan.pipeline.store, f"the pipeline {plan.pipeline.name}")
        self._stack = ExitStack()
        self._kept: IO[bytes] | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._kept is not None:
            with suppress(OSError):  # what could not be written was told
                self._kept.close()

    @property
    def batch_rows(self) -> int:
        """How many rows are best staged at a time."""
        return self._loader.batch_rows

    def open(self) -> Version | None:
        """Take the lock and prepare the tables; return what is known of the feed, if it may be skipped.

        Raises:
            DatabaseError: the database refuses.
            LockHeld: another run is at work.
        """
        with errors_named("opening"):
            self._connect()
            self._take_lock(self._plan.wait_lock)
            reached("locked")
            known = None
            if not self._plan.dry_run:
                self._begin()
                known = self._known_version()
            reached("begun")
            self._open_staging()
        if isinstance(self._loader, Copy):
            with temporary.errors_named("staged rows"):
                self._kept = temporary.unnamed_file()
        return known

    def _connect(self) -> None:
        target = self._plan.target
        copied = self._plan.dry_run and address_of(target.url) is not None
        engine = open_copy(target.url) if copied else open_engine(target)
        self._stack.callback(engine.dispose)
        self._connection = self._stack.enter_context(engine.connect())

    def _take_lock(self, wait: bool) -> None:
        name, run_id = self._plan.pipeline.name, self._report.run_id
        self._lock = take_lock(self._connection, name, wait, self._lock, run_id)

    def _begin(self) -> None:
        """Create what is missing, and the run's row, so that even a killed run is on record."""
        # The parent must know of the row if there is one: no end between the two.
        with termination_held():
            with writing(self._connection):
                prepare(self._connection, ledger.schema_for(self._report), self._store.schema)
                self._report.run_id = ledger.begin(self._connection, self._report)
            self._figures.run_id = self._report.run_id
        self._take_lock(self._plan.wait_lock)  # again, where it has ended with the transaction

    def _known_version(self) -> Version | None:
        if not self._plan.may_skip:
            return None
        with self._transaction():
            return ledger.known_version(self._connection, *self._asked())

    def _asked(self) -> tuple[str, str, str]:
        """Return what the run asks of which feed: the pipeline, the source, a fingerprint of the rest."""
        return self._plan.pipeline.name, self._plan.shown_sources[0], self._plan.fingerprint

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Go on in the transaction that holds the lock; or in one of its own, where another thing does."""
        if self._connection.in_transaction():
            yield
        else:
            with self._connection.begin():
                yield

    def _open_staging(self) -> None:
        plan = self._plan
        maker = maker_of_rows(plan.pipeline)
        target = self._store.staging
        self._loader = loader_for(self._connection, target, plan.output, plan.batch_rows, maker)
        self._stack.callback(self._loader.close)

    # Staging ---------------------------------------------------------------------------------------

    def stage(self, parts: list[Rows]) -> None:
        """Add rows to the staging table.

        Raises:
            DatabaseError: the database or the disk refuses.
        """
        self._keep(parts)
        try:
            with errors_named("staging"), self._transaction():
                self._loader.load(parts)
        except ConnectionLost as lost:
            self._reopen(lost)
        reached("staged")

    def _keep(self, parts: list[Rows]) -> None:
        if self._kept is None:
            return
        with temporary.errors_named("staged rows"):
            for part in parts:
                self._kept.write(part if isinstance(part, bytes) else csv_of(part))
            self._kept.flush()  # a disk that is full must not come to light after the commit

    def _reopen(self, lost: ConnectionLost) -> None:
        """Go on on a new connection, with all that was staged; raise `lost` if there is none to be had."""
        if self._kept is None or not isinstance(self._loader, Copy):
            raise lost
        for pause in PAUSES:
            logger.warning("%s; trying again in %g s", lost.message, pause)
            time.sleep(pause)
            try:
                with errors_named("opening again"):
                    with suppress(SQLAlchemyError):
                        self._stack.close()
                    self._connect()
                    self._take_lock(wait=False)
                    self._refuse_if_overtaken()
                    self._open_staging()
                    if self._kept.seek(0, os.SEEK_END):
                        self._kept.seek(0)
                        self._loader.send(self._kept)
                return
            except ConnectionLost as again:
                lost = again
            except LockHeld as held:  # by our own last session, if the server does not know of its end yet
                logger.warning("%s", held.message)
        raise lost

    def _refuse_if_overtaken(self) -> None:
        """Another run may have had the lock meanwhile, and merged a newer feed than this one's.

        Raises:
            DatabaseError: it has.
        """
        run_id = self._report.run_id  # a dry run has none, and merges nothing
        if run_id is not None and ledger.overtaken(self._connection, self._plan.pipeline.name, run_id):
            raise DatabaseError("database: another run was committed while the connection was lost")

    # The end ---------------------------------------------------------------------------------------

    def commit(self, end: End, rejects: list[Reject], rows: int) -> Written:
        """Merge the staged rows, so many in all, in one transaction with the run's row.

        Raises:
            DatabaseError: the database refuses.
            FiguresDisagree: rows were lost or came to be on the way; nothing is committed.
        """
        with termination_held() as leave_if_asked:
            written = self._merge_surely(end, rejects, rows, leave_if_asked)
            # Committed, and that must be told: a SIGTERM that came meanwhile comes too late.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return written

    def skip(self) -> Written:
        """Note in the run's row that there was nothing to do."""
        self._report.finish("not_modified")
        with errors_named("recording the run"), writing(self._connection):
            ledger.record(self._connection, self._report)
        return Written(self._report, (), [])

    def _merge_surely(
        self, end: End, rejects: list[Reject], rows: int, leave_if_asked: Callable[[], None]
    ) -> Written:
        for attempt in range(1, MERGES + 1):
            try:
                with errors_named("merging"):
                    return self._merge(end, rejects, rows, leave_if_asked)
            except ConnectionLost as lost:
                leave_if_asked()
                if attempt == MERGES:
                    raise
                self._reopen(lost)
                with errors_named("merging"), self._transaction():
                    if ledger.was_committed(self._connection, self._report.run_id):
                        return self._written()
        raise AssertionError

    def _merge(
        self, end: End, rejects: list[Reject], rows: int, leave_if_asked: Callable[[], None]
    ) -> Written:
        with self._transaction():
            self._loader.finish()
            if (staged := self._loader.count()) != rows:
                raise disagreement(f"{rows:,} rows were found, and {staged:,} are staged")
        reached("merging")
        report, connection = self._report, self._connection
        report.bytes_read, report.bytes_decoded = end.bytes_read, end.bytes_decoded
        with writing(connection) as transaction:
            if self._plan.dry_run:
                prepare(connection, ledger.schema_for(report), self._store.schema)
                report.run_id = ledger.begin(connection, report)
            assert report.run_id is not None
            counts = Counter(self._loader.counts)
            for statement in self._steps(report.run_id):
                leave_if_asked()
                reached("step")
                affected = connection.execute(statement.executable).rowcount
                if statement.counts is not None:
                    counts[statement.counts] += affected
            for name, count in counts.items():
                report.count(name, count)
            report.unchanged = report.matched - report.inserted - report.updated - report.duplicates
            report.check()
            report.peak_memory_bytes = self._figures.peak_memory_bytes
            report.finish("succeeded")
            ledger.record_rejects(connection, report.run_id, rejects)
            ledger.record(connection, report)
            if self._plan.sweeps and end.version is not None and len(self._plan.sources) == 1:
                ledger.remember_version(connection, *self._asked(), end.version, report.run_id)
            written = self._written()
            if self._plan.dry_run:
                transaction.rollback()
                report.run_id = None
            leave_if_asked()
            reached("merged")
            if not self._plan.dry_run:
                self._loader.publish()
        reached("committed")
        return written

    def _steps(self, run_id: int) -> list[Statement]:
        """Return the merge, and the sweep where the whole feed was seen."""
        table = self._loader.table
        steps = list(self._store.merge(run_id, self._plan.selection, table)) if table is not None else []
        if self._plan.sweeps:
            steps += self._store.sweep(run_id, self._plan.selection)
        return steps

    def _written(self) -> Written:
        query = self._store.overview(self._plan.selection)
        if query is None:
            return Written(self._report, (), [])
        overview = self._connection.execute(query)
        # Plain strings: the parent would import SQLAlchemy to receive its kind.
        columns = tuple(str.__str__(key) for key in overview.keys())  # noqa: SIM118
        return Written(self._report, columns, [tuple(row) for row in overview])
