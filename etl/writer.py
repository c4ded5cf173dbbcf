"""The writer process: the only one that touches the database while a run goes on.

Batches are applied in source order to a staging table; at the end of a feed that was proved complete, one
transaction merges them, and writes the run's row. Whoever reads the tables sees them as they were or as
they are now, never between.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from etl import ledger
from etl.channels import Channel, Gone, Lines
from etl.child import termination_held
from etl.database import errors_named, is_missing, open_engine, writing
from etl.errors import MalformedFeed, ProcessDied, TooManyRejects
from etl.lock import one_run
from etl.messages import Attempt, Batch, Credit, Done, End, Lost, Ready, Reject, Rows, Word
from etl.origin import Version
from etl.pipeline import Statement, Store, resolve
from etl.plan import Plan
from etl.progress import Figures
from etl.rejects import RejectsFile
from etl.report import RunReport, Written
from etl.schema import prepare
from etl.staging import loader_for


class _Losses:
    """Which chunks have killed their workers, and what is found out about the one at hand."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._deadly: list[int] = []
        self.attempted: int | None = None
        """The record that a worker turned to last, where the chunk is being taken apart."""

    def note(self, sequence: int) -> Lost:
        """Return what the reader has to do about a chunk whose worker has died.

        Once may be an accident, and it is tried again. The second time it is taken apart, and from then on
        the record that was turned to last is the one that kills.
        """
        self._times[sequence] += 1
        if self._times[sequence] == 1:
            self._deadly = []
            self.attempted = None
            return Lost(sequence, None)
        if self.attempted is not None:
            self._deadly.append(self.attempted)
            self.attempted = None
        return Lost(sequence, tuple(self._deadly))


class Writer:
    """Stages and merges the batches of one run."""

    def __init__(self, plan: Plan, report: RunReport, figures: Figures) -> None:
        self._plan = plan
        self._report = report
        self._figures = figures
        self._store: Store = resolve(plan.pipeline.store)
        self._waiting: list[Rows] = []
        self._waiting_rows = 0
        self._rejects: list[Reject] = []
        self._rejects_file: RejectsFile | None = None
        self._full = False
        self._known: Version | None = None

    def run(self, lines: Lines, words: Channel[Word]) -> Written:
        """Apply what the workers send until the feed is complete, then merge and commit.

        Raises:
            DatabaseError: the database or the disk refuses.
            DataError: the feed is malformed, or too much of it was rejected.
            LockHeld: another run is at work.
        """
        with ExitStack() as stack:
            with errors_named("opening"):
                engine = open_engine(self._plan.database)
                if self._plan.dry_run and is_missing(engine):  # it must not come to be
                    engine = open_engine("sqlite://")
                stack.callback(engine.dispose)
                self._connection = stack.enter_context(engine.connect())
                stack.enter_context(
                    one_run(self._connection, self._plan.pipeline.name, self._plan.wait_lock)
                )
                self._prepare()
            words.put(Ready(self._known))
            if self._plan.rejects_file is not None:
                self._rejects_file = stack.enter_context(RejectsFile(self._plan.rejects_file))
            end = self._receive(lines, words)
            if self._rejects_file is not None:
                self._rejects_file.close()
            with errors_named("merging"), termination_held() as leave_if_asked:
                return self._merge(end, leave_if_asked) if end.modified else self._skip()

    def _prepare(self) -> None:
        """Create what is missing, and the run's row, so that even a killed run is on record."""
        if not self._plan.dry_run:
            # The parent must know of the row if there is one: no end between the two.
            with termination_held():
                with writing(self._connection):
                    prepare(self._connection, ledger.SCHEMA, self._store.schema)
                    self._report.run_id = ledger.begin(self._connection, self._report)
                    if self._plan.may_skip:
                        self._known = ledger.known_version(self._connection, self._plan)
                self._figures.run_id = self._report.run_id or 0
        with self._connection.begin():
            self._store.staging.create(self._connection, checkfirst=False)
        self._loader = loader_for(self._connection, self._store.staging, self._plan.batch_rows)

    # Batches ---------------------------------------------------------------------------------------

    def _receive(self, lines: Lines, words: Channel[Word]) -> End:
        """Take every worker's results in turn; answer each with a credit."""
        sequence = 0
        refusing = False
        losses = _Losses()
        while True:
            try:
                result = lines[sequence].results.get()
            except Gone:
                if not lines.replace(sequence):
                    raise ProcessDied("too many worker processes died") from None
                words.put(losses.note(sequence))
                continue
            if isinstance(result, Attempt):
                losses.attempted = result.number
                continue
            sequence += 1
            if isinstance(result, End):
                words.put(Done())
                return result
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
        rows, matched = batch.rows, batch.matched
        limit = self._plan.limit
        if limit is not None and self._report.matched + matched >= limit:
            matched = limit - self._report.matched
            rows = rows[:matched]
            self._full = True
        self._report.records += batch.records
        self._report.matched += matched
        for reject in batch.rejects:
            self._reject(reject, batch)
        if matched:
            self._waiting.append(rows)
            self._waiting_rows += matched
        if self._waiting_rows >= self._loader.batch_rows:
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
        with errors_named("staging"), self._connection.begin():
            self._loader.load(self._waiting)
        self._waiting, self._waiting_rows = [], 0

    # The end ---------------------------------------------------------------------------------------

    def _skip(self) -> Written:
        """Note in the run's row that there was nothing to do."""
        self._report.finish("not_modified")
        with writing(self._connection):
            ledger.record(self._connection, self._report)
        return Written(self._report, (), [])

    def _merge(self, end: End, leave_if_asked: Callable[[], None]) -> Written:
        """Merge the staged rows in one transaction, together with the run's row."""
        if self._waiting:
            self._stage()
        with self._connection.begin():
            self._loader.finish()
        report = self._report
        report.bytes_read, report.bytes_decoded = end.bytes_read, end.bytes_decoded
        with writing(self._connection) as transaction:
            if self._plan.dry_run:
                prepare(self._connection, ledger.SCHEMA, self._store.schema)
                report.run_id = ledger.begin(self._connection, report)
            assert report.run_id is not None
            for statement in self._steps(report.run_id):
                leave_if_asked()
                affected = self._connection.execute(statement.executable).rowcount
                if statement.counts is not None:
                    setattr(report, statement.counts, getattr(report, statement.counts) + affected)
            report.unchanged = report.matched - report.inserted - report.updated - report.duplicates
            report.peak_memory_bytes = self._figures.peak_memory_bytes
            report.finish("succeeded")
            ledger.record_rejects(self._connection, report.run_id, self._rejects)
            ledger.record(self._connection, report)
            if self._plan.sweeps and end.version is not None and len(self._plan.sources) == 1:
                ledger.remember_version(self._connection, self._plan, end.version, report.run_id)
            overview = self._connection.execute(self._store.overview(self._plan.selection))
            # Plain strings: the parent would import SQLAlchemy to receive its kind.
            columns = tuple(str.__str__(key) for key in overview.keys())  # noqa: SIM118
            rows = [tuple(row) for row in overview]
            if self._plan.dry_run:
                transaction.rollback()
                report.run_id = None
            leave_if_asked()
        # Committed, and that must be told: a SIGTERM that came meanwhile comes too late.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return Written(report, columns, rows)

    def _steps(self, run_id: int) -> list[Statement]:
        """Return the merge, and the sweep where the whole feed was seen."""
        steps = list(self._store.merge(run_id, self._plan.selection))
        if self._plan.sweeps:
            steps += self._store.sweep(run_id, self._plan.selection)
        return steps
