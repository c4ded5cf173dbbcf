"""One whole run in this test's own processes: reader, workers, writer, SQLite."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.command.progress import ProgressLog
from etl.database.target import Target
from etl.declare.location import Source
from etl.declare.pipeline import Pipeline, Selection
from etl.engine import supervisor
from etl.engine.figures import Figures
from etl.engine.plan import Plan
from etl.ledger.report import RunReport
from etl.sink.destinations import destination_of
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import FEED_COLUMNS
from pipelines.market_deals.pipeline import PIPELINE as MARKET_DEALS
from pipelines.market_deals.pipeline import select


@dataclass(frozen=True)
class Outcome:
    """What a run reported, and what the database holds after it."""

    report: RunReport
    rows: dict[int, dict[str, Any]]


def run(document: bytes, wanted: set[str], head_epoch: int, **settings: Any) -> Outcome:
    """Run the pipeline `deals` over a document into a new database."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "x.db")
        report = run_into(f"sqlite:///{database}", document, wanted, head_epoch, **settings)
        connection = sqlite3.connect(database)
        connection.row_factory = sqlite3.Row
        names = ", ".join(["deal_id", *FEED_COLUMNS])
        rows = [dict(row) for row in connection.execute(f"SELECT {names} FROM deals")]
        connection.close()
    return Outcome(report, {row["deal_id"]: row for row in rows})


def run_into(
    database: str,
    document: bytes,
    wanted: Collection[str],
    head_epoch: int,
    pipeline: Pipeline = PIPELINE,
    **settings: Any,
) -> RunReport:
    """Run the pipeline `deals` over a document."""
    return _carry_out(pipeline, Tracked(frozenset(wanted), head_epoch), database, document, settings)


def run_to_file(output: Path, document: bytes, **settings: Any) -> RunReport:
    """Run the pipeline `market_deals` over a document."""
    return _carry_out(MARKET_DEALS, select({}), "sqlite://", document, settings, output)


def _carry_out(
    pipeline: Pipeline,
    selection: Selection,
    database: str,
    document: bytes,
    settings: dict[str, Any],
    output: Path | None = None,
) -> RunReport:
    with tempfile.TemporaryDirectory() as folder:
        feed = Path(folder, "feed.json")
        feed.write_bytes(document)
        target = Target(database)
        plan = Plan(
            pipeline=pipeline,
            selection=selection,
            sources=(Source(str(feed)),),
            target=target,
            destination=destination_of(pipeline, target.database, output),
            **{"workers": 1, "slabs": 4, "record_bytes": 1 << 16, "max_rejects": 1_000_000} | settings,
        )
        report = RunReport.begun(pipeline, str(feed))
        report.take_figures(selection.figures)
        figures = Figures()
        return supervisor.carry_out(plan, report, figures, ProgressLog(figures), noted=[]).report
