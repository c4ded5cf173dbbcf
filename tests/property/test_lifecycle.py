"""The merge, in SQLite and PostgreSQL, held to dicts and loops over generated lives of deals."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.ledger.report import RunReport
from pipelines.deals.chain import time_of
from tests.acceptance import feeds
from tests.support.databases import Database, ServerDatabase, Tables, moment
from tests.support.effort import examples
from tests.support.postgresql import Server
from tests.support.twin.deals import plain_row
from tests.support.twin.merge import Deal, Feed, Tracker
from tests.support.whole_run import run_into
from tests.support.writer_alone import write

TRACKED = ("f01", "f02")
PROPOSALS = (  # client, provider, piece, start, end: few, so that records and local proposals meet often
    *[("f01", "f05", "baga1", 100, 200)] * 6,
    *[("f01", "f05", None, 100, 200)] * 4,
    ("f01", "f06", "baga1", 100, 200),
    ("f01", "f05", "baga2", 100, 200),
    ("f02", "f05", "baga1", 101, 200),
    ("f02", "f05", "baga1", 100, 201),
    ("f09", "f05", "baga1", 100, 200),
)
HEADS = (0, 100, 101, 102, 150, 200, 201, 202, 300)
DEAL_IDS = st.integers(1, 16)
LOCAL_STATES = ("proposed", "published", "active", "active", "error", "expired", "proposal_expired")

COMPARED = (
    "deal_id", "state", "client_id", "provider", "label", "piece_cid", "piece_size", "verified", "price",
    "provider_collateral", "client_collateral", "start_epoch", "end_epoch", "sector_number",
    "sector_start_epoch", "last_updated_epoch", "slash_epoch", "last_verified_at", "run_id",
)  # fmt: skip


# What happens ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Local:
    """Somebody inserts a deal, or a proposal."""

    values: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """Somebody sets a deal's state; `which` of them, modulo their number."""

    which: int
    state: str


@dataclass(frozen=True)
class Round:
    """A run."""

    head: int
    feed: Feed
    settings: dict[str, Any]
    twice: bool
    """And the same once more, which must change nothing."""


Event = Local | Turn | Round


def either(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    client, provider, piece, start, end = draw(either(*PROPOSALS))
    return feeds.deal(
        client,
        Provider=provider,
        PieceCID=piece and {"/": piece},
        StartEpoch=start,
        EndEpoch=end,
        Label=draw(either("a", None, "")),
        StoragePricePerEpoch=draw(either("0", "0", "1" + "0" * 30)),
        state={
            "SectorStartEpoch": draw(either(-1, 0)),
            "SlashEpoch": draw(either(-1, -1, -1, -1, 0, 120)),
            "SectorNumber": draw(either(1, None)),
        },
    )


@st.composite
def local_deals(draw: st.DrawFn) -> Local:
    row = plain_row(draw(records()), 0)
    if draw(st.booleans()):  # no more than the proposal
        row = {
            name: row[name] for name in ("client_id", "provider", "piece_cid", "start_epoch", "end_epoch")
        }
    unknown = draw(either(None, None, None, None, "provider", "start_epoch", "end_epoch"))
    if unknown is not None:
        row[unknown] = None
    deal_id = draw(st.none() | st.none() | st.none() | DEAL_IDS)
    return Local(row | {"state": draw(either(*LOCAL_STATES)), "deal_id": deal_id})


TURNS = st.builds(Turn, st.integers(0, 9), either(*LOCAL_STATES, "slashed"))
KINDS = either({}, {}, {}, {}, {"limit": 1}, {"limit": 4}, {"on_error": "salvage"}, {"dry_run": True})
ROUNDS = st.builds(
    Round,
    head=either(*HEADS),
    feed=st.lists(st.tuples(DEAL_IDS, records()), min_size=2, max_size=12),
    settings=st.builds(lambda kind, rows: kind | {"batch_rows": rows}, KINDS, either(None, 1, 4)),
    twice=st.booleans(),
)
MEANWHILE = st.lists(local_deals() | local_deals() | local_deals() | TURNS, max_size=8)
LIVES = st.lists(
    st.tuples(MEANWHILE, ROUNDS).map(lambda part: [*part[0], part[1]]), min_size=1, max_size=4
).map(lambda parts: [event for part in parts for event in part])


# Both databases ----------------------------------------------------------------------------------------


Fresh = Callable[[], AbstractContextManager[Tables]]
Run = Callable[..., RunReport]


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fresh]:
    """Makes databases that have the tables, and nothing in them: by a copy, or by emptying the one."""
    if request.param == "SQLite":
        template = Database(tmp_path / "template.db")
        write(template.url, frozenset(TRACKED), 0, [])
        template.execute("DELETE FROM etl_runs")

        @contextmanager
        def copied() -> Iterator[Tables]:
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                yield Database(Path(shutil.copy(template.path, folder)))

        yield copied
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as name:
        tables = ServerDatabase(server.local(name))
        write(tables.url, frozenset(TRACKED), 0, [])

        @contextmanager
        def emptied() -> Iterator[Tables]:
            names = ("deal_state_changes", "deals", "etl_runs")
            tables.execute(*(f"DELETE FROM {name}" for name in names))
            yield tables

        yield emptied


# Held to the twin --------------------------------------------------------------------------------------


class Pair:
    """A database and its twin."""

    def __init__(self, tables: Tables, run: Run) -> None:
        self._tables = tables
        self._run = run
        self._twin = Tracker(frozenset(TRACKED))
        self._times: dict[int, tuple[Any, Any]] = {}
        """Of each deal: when it was created, and updated."""

    def apply(self, event: Event) -> None:
        """Do what happens on both sides."""
        if isinstance(event, Local):
            self._insert(event.values)
        elif isinstance(event, Turn):
            self._turn(event)
        else:
            self._round(event)
            if event.twice:
                before = self._dump()
                self._round(event)
                assert self._dump() == before

    def _insert(self, values: Deal) -> None:
        if any(values["deal_id"] == deal["deal_id"] for deal in self._twin.deals):
            values = values | {"deal_id": None}
        self._tables.insert("deals", values)
        (row,) = self._tables.query("SELECT * FROM deals ORDER BY id DESC LIMIT 1")
        self._twin.deals.append(dict.fromkeys(COMPARED) | values | {"id": row["id"]})
        self._times[row["id"]] = row["created_at"], row["updated_at"]

    def _turn(self, event: Turn) -> None:
        if self._twin.deals:
            deal = self._twin.deals[event.which % len(self._twin.deals)]
            deal["state"] = event.state
            self._tables.execute(f"UPDATE deals SET state = '{event.state}' WHERE id = {deal['id']}")

    def _round(self, event: Round) -> None:
        dry = "dry_run" in event.settings
        before = (self._dump(), self._tables.query("SELECT * FROM etl_runs")) if dry else None
        report = self._run(self._tables.url, self._twin.wanted, event.head, event.feed, **event.settings)
        if dry:
            assert report.run_id is None
            assert (self._dump(), self._tables.query("SELECT * FROM etl_runs")) == before
        else:
            self.ran(event, report)

    def ran(self, event: Round, report: RunReport) -> None:
        """Have the twin do what a run has done, and compare everything."""
        assert report.run_id is not None
        limit = event.settings.get("limit")
        sweeps = limit is None and event.settings.get("on_error") != "salvage"
        figures = self._twin.round(report.run_id, event.head, event.feed, limit, sweeps)
        members = report.members()
        assert {name: members[name] for name in figures} == figures
        rows, found = self._dump()
        ids = {row["deal_id"]: row["id"] for row in rows}
        for deal in self._twin.deals:
            deal.setdefault("id", ids.get(deal["deal_id"]))
        assert {row["id"]: shown(row) for row in rows} == {deal["id"]: deal for deal in self._twin.deals}
        changes = ("deals_id", "previous_state", "new_state", "epoch", "run_id")
        history = Counter(tuple(row[name] for name in changes) for row in found)
        assert history == Counter((deal["id"], *change) for deal, *change in self._twin.history)
        for row in rows:
            created, updated = self._times.get(row["id"], (row["created_at"], None))
            assert row["created_at"] == created
            assert (row["updated_at"] != updated) == (row["run_id"] == report.run_id)
            self._times[row["id"]] = created, row["updated_at"]

    def _dump(self) -> list[list[Deal]]:
        tables = ("deals", "deal_state_changes")
        return [self._tables.query(f"SELECT * FROM {name} ORDER BY id") for name in tables]


def shown(row: Deal) -> Deal:
    """A row of either database as the twin has it: booleans, and the epoch of its verification."""
    row = {name: row[name] for name in ("id", *COMPARED)}
    if row["verified"] is not None:
        row["verified"] = bool(row["verified"])
    if (verified_at := row["last_verified_at"]) is not None:
        row["last_verified_at"] = (moment(verified_at) - time_of(0)) // timedelta(seconds=30)
    return row


def in_processes(url: str, wanted: frozenset[str], head: int, feed: Feed, **settings: Any) -> RunReport:
    """As `write`, but all of it: from a document, by a reader and workers."""
    document = feeds.as_object((str(deal_id), record) for deal_id, record in feed)
    return run_into(url, document, wanted, head, workers=2, chunk_bytes=900, **settings)


@settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))
@given(life=LIVES)
def test_a_life_of_deals_goes_as_in_the_twin(fresh: Fresh, life: list[Event]) -> None:
    with fresh() as tables:
        pair = Pair(tables, write)
        for event in life:
            pair.apply(event)


@settings(max_examples=examples(3), suppress_health_check=list(HealthCheck))
@given(life=LIVES)
def test_so_does_one_by_whole_runs(fresh: Fresh, life: list[Event]) -> None:
    with fresh() as tables:
        pair = Pair(tables, in_processes)
        for event in life:
            pair.apply(event)
