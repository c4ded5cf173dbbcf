"""One round by the real writer, in this process: no reader and no workers, for speed."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from etl.database.target import Target
from etl.declare.location import Source
from etl.engine.channels import Channel, Line, Lines
from etl.engine.figures import Figures
from etl.engine.messages import Batch, End, Word
from etl.engine.plan import Plan
from etl.engine.writer import Writer
from etl.ledger.report import RunReport
from etl.sink.packing import csv_of
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.record import Deal
from pipelines.deals.selection import Tracked

_context = multiprocessing.get_context("fork")


def write(
    database: str,
    wanted: frozenset[str],
    head: int,
    feed: Sequence[tuple[int, Any]],
    tamper: Callable[[Batch], Batch] = lambda batch: batch,
    **settings: Any,
) -> RunReport:
    """Have a feed's records staged and merged; `settings` are the plan's."""
    plan = Plan(
        pipeline=PIPELINE,
        selection=Tracked(wanted, head),
        sources=(Source("feed"),),
        target=Target(database),
        **{"workers": 1, "slabs": 1} | settings,
    )
    # As workers do it: a batch for each chunk, here of three records.
    batches = [_batch(plan, start, feed[start : start + 3]) for start in range(0, len(feed), 3)]
    line: Line = Line(_context)
    words: Channel[Word] = Channel(_context)
    for batch in batches:
        line.results.put(tamper(batch))
    line.results.put(End(len(batches), 0, 0, limited=plan.limit is not None, version=None, modified=True))
    report = RunReport.begun(PIPELINE, "feed")
    report.take_figures(plan.selection.figures)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return Writer(plan, report, Figures()).run(Lines([line], 1), words).report
    finally:
        signal.signal(signal.SIGTERM, handler)  # a writer that has committed does not listen any more


def _batch(plan: Plan, position: int, records: Sequence[tuple[int, Any]]) -> Batch:
    rows = [
        (position + number, *PIPELINE.row(str(deal_id), msgspec.convert(record, Deal), plan.selection))
        for number, (deal_id, record) in enumerate(records)
        if record["Proposal"]["Client"] in (plan.selection.wanted or ())
    ]
    return Batch(
        sequence=position // 3, source=0, slab=0, exact=True, following=0,
        records=len(records), matched=len(rows), rows=len(rows),
        parts=[csv_of(rows) if rows and plan.copies else rows], rejects=[], malformed=None,
    )  # fmt: skip
