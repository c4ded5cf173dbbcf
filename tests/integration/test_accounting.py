"""What a run counts must agree before it commits; what does not is an internal error, and rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from etl.errors import FiguresDisagree
from etl.ledger.report import RunReport
from etl.records.found import Batch
from tests.acceptance.feeds import HEAD, OURS, deal
from tests.support.databases import Database, ServerDatabase, Tables
from tests.support.postgresql import Server
from tests.support.writer_alone import write

FEED = [(number, deal()) for number in range(7)]


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tables]:
    if request.param == "SQLite":
        yield Database(tmp_path / "deals.db")
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as name:
        yield ServerDatabase(server.local(name))


def fewer_rows(batch: Batch) -> Batch:
    kept = batch.parts[0]
    assert isinstance(kept, bytes)
    try:  # as they are packed for SQLite, or else for PostgreSQL
        fewer = msgspec.msgpack.encode(msgspec.msgpack.decode(kept)[1:])
    except msgspec.DecodeError:
        fewer = b"".join(kept.splitlines(keepends=True)[1:])
    return batch._replace(parts=[fewer])


def rows_twice(batch: Batch) -> Batch:
    return batch._replace(parts=batch.parts * 2)


def more_matched(batch: Batch) -> Batch:
    return batch._replace(matched=batch.records + 1)


@pytest.mark.parametrize("tamper", [fewer_rows, rows_twice, more_matched])
def test_rows_that_were_lost_or_doubled_on_the_way_are_never_merged(
    tables: Tables, tamper: Callable[[Batch], Batch]
) -> None:
    assert write(tables.url, frozenset(OURS), HEAD, FEED[:3]).inserted == 3
    before = tables.dump()
    with pytest.raises(FiguresDisagree, match="nothing was committed") as raised:
        write(tables.url, frozenset(OURS), HEAD, FEED, tamper)
    assert raised.value.exit_status == 70
    assert tables.dump() == before
    assert [row["status"] for row in tables.rows("etl_runs")] == ["succeeded", "failed"]
    assert write(tables.url, frozenset(OURS), HEAD, FEED).inserted == 4


def test_more_rows_changed_than_matched_are_not_committed(postgresql: Server) -> None:
    """As where somebody has dropped the constraint by which a deal stands there once."""
    with postgresql.database() as name:
        tables = ServerDatabase(postgresql.local(name))
        write(tables.url, frozenset(OURS), HEAD, FEED)
        tables.execute(
            "ALTER TABLE deals DROP CONSTRAINT deals_deal_id_key",
            "INSERT INTO deals (deal_id, state, client_id)"
            " SELECT 1, 'published', client_id FROM deals, generate_series(1, 9)",
        )
        before = tables.dump()
        with pytest.raises(FiguresDisagree, match="-"):
            write(tables.url, frozenset(OURS), HEAD, FEED)
        assert tables.dump() == before


@pytest.mark.parametrize(
    "figures",
    [
        {"records": 5, "matched": 4, "inserted": 3},
        {"records": 5, "matched": 4, "inserted": 5, "unchanged": -1},
        {"records": 3, "matched": 4, "inserted": 4},
        {"records": 5, "matched": 4, "inserted": 4, "rejected": 2},
        {"records": 5, "matched": 4, "inserted": 4, "counts": {"expired": -1}},
    ],
)
def test_figures_that_contradict_each_other_are_refused(figures: dict[str, Any]) -> None:
    report = RunReport(1, "deals", "feed", "failed", None, datetime.now(UTC), **figures)
    with pytest.raises(FiguresDisagree):
        report.check()


def test_figures_that_agree_are_taken() -> None:
    started = datetime.now(UTC)
    RunReport(
        1, "deals", "feed", "failed", None, started, records=9, matched=8, inserted=1, updated=2,
        unchanged=3, duplicates=2, rejected=1, counts={"expired": 50},
    ).check()  # fmt: skip
