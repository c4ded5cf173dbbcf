"""The end of a run: one transaction that merges what is staged, and writes the run's row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa

from etl.database.access import writing
from etl.database.schema import prepare
from etl.declare.destination import Staging
from etl.engine.figures import Figures
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.faults import reached
from etl.ledger import runs as ledger
from etl.ledger.report import RunReport, Written
from etl.records.found import Reject


class Merge:
    """What is to be committed; it may be tried again on another connection.

    `leave_if_asked` ends the process, if it was asked to end meanwhile, as long as nothing is committed.
    """

    def __init__(
        self,
        plan: Plan,
        report: RunReport,
        end: End,
        rejects: list[Reject],
        figures: Figures,
        leave_if_asked: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._report = report
        self._end = end
        self._rejects = rejects
        self._figures = figures
        self._leave_if_asked = leave_if_asked

    def commit(self, connection: sa.Connection, staging: Staging) -> Written:
        """Merge finished rows in the transaction that holds the lock, and commit; a dry run is rolled back.

        Raises:
            SQLAlchemyError: the database refuses.
            DatabaseError: the disk refuses.
            FiguresDisagree: the report's figures contradict each other; nothing is committed.
        """
        report, plan = self._report, self._plan
        with writing(connection) as transaction:
            if plan.dry_run:
                prepare(connection, ledger.schema_for(report), *plan.destination.schemas())
                report.run_id = ledger.begin(connection, report)
            assert report.run_id is not None
            self._merge(connection, staging, report.run_id)
            self._record(connection, report.run_id)
            written = self.written(connection, staging)
            if plan.dry_run:
                transaction.rollback()
                report.run_id = None
            self._leave_if_asked()
            reached("merged")
            if not plan.dry_run:
                staging.put_in_place()
        reached("committed")
        return written

    def _merge(self, connection: sa.Connection, staging: Staging, run_id: int) -> None:
        """Carry out the merge, and take its figures into the report."""
        report = self._report
        counts = Counter(staging.counts)
        for statement in staging.steps(run_id, self._plan.selection, self._plan.sweeps):
            self._leave_if_asked()
            reached("step")
            affected = connection.execute(statement.executable).rowcount
            if statement.counts is not None:
                counts[statement.counts] += affected
        for name, count in counts.items():
            report.count(name, count)
        report.unchanged = report.matched - report.inserted - report.updated - report.duplicates
        report.bytes_read, report.bytes_decoded = self._end.bytes_read, self._end.bytes_decoded
        report.check()

    def _record(self, connection: sa.Connection, run_id: int) -> None:
        """Write what the ledger keeps of the run: its row, its rejects, the version of the feed."""
        plan, report = self._plan, self._report
        report.peak_memory_bytes = self._figures.peak_memory_bytes
        report.finish("succeeded")
        ledger.record_rejects(connection, run_id, self._rejects)
        ledger.record(connection, report)
        if plan.sweeps and self._end.version is not None and len(plan.sources) == 1:
            ledger.remember_version(connection, *asked_of_feed(plan), self._end.version, run_id)

    def written(self, connection: sa.Connection, staging: Staging) -> Written:
        """Return the report, and what the database holds now."""
        query = staging.overview(self._plan.selection)
        if query is None:
            return Written(self._report, (), [])
        overview = connection.execute(query)
        # Plain strings: the parent would import SQLAlchemy to receive its kind.
        columns = tuple(str.__str__(key) for key in overview.keys())  # noqa: SIM118
        return Written(self._report, columns, [tuple(row) for row in overview])


def asked_of_feed(plan: Plan) -> tuple[str, str, str]:
    """Return what a run asks of which feed: the pipeline, the source, a fingerprint of the rest."""
    return plan.pipeline.name, plan.shown_sources[0], plan.fingerprint
