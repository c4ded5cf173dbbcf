"""One round by the real writer, in this process: no reader and no workers, for speed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from etl.database.target import Target
from etl.declare.location import Source
from etl.engine.figures import Figures
from etl.engine.messages import End
from etl.engine.plan import Plan
from etl.engine.writer import Writer
from etl.ledger.report import RunReport
from etl.records.found import Batch
from etl.sink.destinations import destination_of
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.record import Deal
from pipelines.deals.selection import Tracked


def write(
    database: str,
    wanted: frozenset[str],
    head: int,
    feed: Sequence[tuple[int, Any]],
    tamper: Callable[[Batch], Batch] = lambda batch: batch,
    **settings: Any,
) -> RunReport:
    """Have a feed's records staged and merged; `settings` are the plan's."""
    target = Target(database)
    plan = Plan(
        pipeline=PIPELINE,
        selection=Tracked(wanted, head),
        sources=(Source("feed"),),
        target=target,
        destination=destination_of(PIPELINE, target.database, None),
        **{"workers": 1, "slabs": 1} | settings,
    )
    # As workers do it: a batch for each chunk, here of three records.
    batches = [_batch(plan, start, feed[start : start + 3]) for start in range(0, len(feed), 3)]
    report = RunReport.begun(PIPELINE, "feed")
    report.take_figures(plan.selection.figures)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with Writer(plan, report, Figures()) as writer:
            writer.begin()
            for batch in batches:
                writer.apply(tamper(batch), 0)
            return writer.finish(End(bytes_read=0, bytes_decoded=0)).report
    finally:
        signal.signal(signal.SIGTERM, handler)  # a writer that has committed does not listen any more


def _batch(plan: Plan, position: int, records: Sequence[tuple[int, Any]]) -> Batch:
    rows = [
        (position + number, *PIPELINE.row(str(deal_id), msgspec.convert(record, Deal), plan.selection))
        for number, (deal_id, record) in enumerate(records)
        if record["Proposal"]["Client"] in (plan.selection.wanted or ())
    ]
    return Batch(
        records=len(records), matched=len(rows), rows=len(rows),
        parts=[plan.destination.pack(rows) if rows and plan.limit is None else rows],
        rejects=[],
    )  # fmt: skip
