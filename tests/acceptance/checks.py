"""What a run of the pipeline `deals` must have left behind: report, rows, history and ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.command import Completed
from tests.support.databases import Tables, moment
from tests.support.twin.deals import Expected

from .feeds import HEAD

HEAD_TIME = datetime.fromtimestamp(1598306400, UTC) + timedelta(seconds=30) * HEAD


def assert_loaded(report: dict[str, Any], database: Tables, wanted: Expected) -> None:
    """Hold a first run against the plain reading: figures, rows, history and the ledger."""
    assert {name: report[name] for name in wanted.figures} == wanted.figures
    assert_accounts_balance(report)
    assert (report["pipeline"], report["status"], report["error"]) == ("deals", "succeeded", None)
    assert report["head_epoch"] == HEAD
    deals = database.deals()
    assert deals == wanted.rows
    run_id = report["run_id"]
    for row in database.rows("deals"):
        assert row["run_id"] == run_id
        assert row["created_at"] == row["updated_at"]
        verified_at = row["last_verified_at"]
        if row["state"] == "active":
            assert moment(verified_at) == HEAD_TIME
        else:
            assert verified_at is None
    assert sorted(history(database)) == sorted(
        (deal_id, None, row["state"], HEAD, run_id) for deal_id, row in deals.items()
    )
    assert len(database.rows("etl_rejects")) == report["rejected"]
    assert_ledger_agrees(report, database)


def assert_accounts_balance(report: dict[str, Any]) -> None:
    outcomes = ("inserted", "updated", "unchanged", "duplicates")
    assert report["matched"] == sum(report[name] for name in outcomes)
    assert report["records"] >= report["matched"] + report["rejected"]
    assert all(report[name] >= 0 for name in outcomes)


def assert_ledger_agrees(report: dict[str, Any], database: Tables) -> None:
    """The run's row in the ledger says the same as its report."""
    times = ("started_at", "finished_at")
    row = database.last_run()
    assert {name: row[name] for name in row if name not in times} == {
        name: report[name] for name in report if name not in times
    }
    for name in times:
        assert moment(row[name]) == datetime.fromisoformat(report[name])


def history(database: Tables) -> list[tuple[Any, ...]]:
    """The history: (deal id, previous state, new state, epoch, run id), in its order."""
    rows = database.query(
        "SELECT deal_id, previous_state, new_state, epoch, deal_state_changes.run_id AS run_id"
        " FROM deal_state_changes JOIN deals ON deals.id = deals_id ORDER BY deal_state_changes.id"
    )
    return [tuple(row.values()) for row in rows]


def assert_refused(completed: Completed, status: int, database: Tables, before: object) -> str:
    """A run has failed, said so in one line and in the ledger, and changed nothing; return the line."""
    message = completed.message
    assert completed.status == status, completed.stderr
    assert database.dump() == before
    run = database.last_run()
    assert (run["status"], run["error"]) == ("failed", message)
    return message
