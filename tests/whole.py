"""One whole run in this test's own processes: reader, workers, writer, SQLite."""

from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl import supervisor
from etl.origin import Source
from etl.plan import Plan
from etl.progress import Figures, ProgressLog
from etl.report import RunReport
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import FEED_COLUMNS


@dataclass(frozen=True)
class Outcome:
    """What a run reported, and what the database holds after it."""

    report: RunReport
    rows: dict[int, dict[str, Any]]


def run(document: bytes, wanted: set[str], head_epoch: int, **settings: Any) -> Outcome:
    """Run the pipeline `deals` over a document into a new database."""
    with tempfile.TemporaryDirectory() as folder:
        feed, database = Path(folder, "feed.json"), Path(folder, "x.db")
        feed.write_bytes(document)
        plan = Plan(
            pipeline=PIPELINE,
            selection=Tracked(frozenset(wanted), head_epoch),
            sources=(Source(str(feed)),),
            database=f"sqlite:///{database}",
            **{"workers": 1, "slabs": 4, "record_bytes": 1 << 16, "max_rejects": 1_000_000} | settings,
        )
        report = RunReport(
            None, "deals", str(feed), "failed", None, datetime.now(UTC), head_epoch=head_epoch
        )
        figures = Figures()
        written = supervisor.run(plan, report, figures, ProgressLog(figures), noted=[])
        connection = sqlite3.connect(database)
        connection.row_factory = sqlite3.Row
        names = ", ".join(["deal_id", *FEED_COLUMNS])
        rows = [dict(row) for row in connection.execute(f"SELECT {names} FROM deals")]
        connection.close()
    return Outcome(written.report, {row["deal_id"]: row for row in rows})
