"""A database of an older version is brought up to date, whole or not at all; a newer one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.command import Completed, Etl
from tests.support.databases import Database, Tables
from tests.support.postgresql import Server

from .checks import history
from .feeds import HEAD, OURS, as_object, deal

VERSION_1 = (
    """CREATE TABLE etl_runs (
        run_id {number} NOT NULL, pipeline TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL,
        error TEXT, started_at {time} NOT NULL, finished_at {time}, seconds {double}, head_epoch BIGINT,
        records BIGINT NOT NULL, matched BIGINT NOT NULL, inserted BIGINT NOT NULL, updated BIGINT NOT NULL,
        unchanged BIGINT NOT NULL, duplicates BIGINT NOT NULL, expired BIGINT NOT NULL,
        rejected BIGINT NOT NULL, bytes_read BIGINT NOT NULL, bytes_decoded BIGINT NOT NULL,
        peak_memory_bytes BIGINT NOT NULL, PRIMARY KEY (run_id))""",
    """CREATE TABLE etl_rejects (
        run_id {integer} NOT NULL, sequence INTEGER NOT NULL, byte_offset BIGINT NOT NULL, "key" TEXT,
        reason TEXT NOT NULL, raw {bytes} NOT NULL,
        PRIMARY KEY (run_id, sequence), FOREIGN KEY(run_id) REFERENCES etl_runs (run_id))""",
    """CREATE TABLE deals (
        id {number} NOT NULL, deal_id BIGINT, state TEXT NOT NULL, client_id TEXT NOT NULL,
        provider TEXT NOT NULL, label TEXT, piece_cid TEXT, piece_size BIGINT, verified BOOLEAN,
        price {amount}, provider_collateral {amount}, client_collateral {amount},
        start_epoch BIGINT NOT NULL, end_epoch BIGINT NOT NULL, sector_number BIGINT,
        sector_start_epoch BIGINT, last_updated_epoch BIGINT, slash_epoch BIGINT, proposal_id TEXT,
        last_verified_at {time}, created_at {time} NOT NULL, updated_at {time} NOT NULL, run_id BIGINT,
        PRIMARY KEY (id), UNIQUE (deal_id))""",
    """CREATE TABLE wallets (
        id TEXT NOT NULL, address TEXT, PRIMARY KEY (id), UNIQUE (address))""",
    """CREATE TABLE deal_state_changes (
        id {number} NOT NULL, deals_id {integer} NOT NULL, previous_state TEXT, new_state TEXT NOT NULL,
        epoch BIGINT NOT NULL, run_id BIGINT, changed_at {time} NOT NULL,
        PRIMARY KEY (id), FOREIGN KEY(deals_id) REFERENCES deals (id))""",
    "CREATE INDEX ix_deal_state_changes_deals_id ON deal_state_changes (deals_id)",
)
KINDS = {
    "?": {"number": "INTEGER", "integer": "INTEGER", "time": "DATETIME", "double": "DOUBLE",
          "amount": "TEXT", "bytes": "BLOB"},
    "%s": {"number": "BIGSERIAL", "integer": "BIGINT", "time": "TIMESTAMP WITH TIME ZONE",
           "double": "DOUBLE PRECISION", "amount": "NUMERIC", "bytes": "BYTEA"},
}  # fmt: skip

NOON = "2025-01-01 12:00:00.000000"
RUN = {
    "pipeline": "deals", "source": "feed", "status": "succeeded", "started_at": NOON, "finished_at": NOON,
    "seconds": 1.5, "head_epoch": 4_000_000,
} | dict.fromkeys(
    ("records", "matched", "inserted", "updated", "unchanged", "duplicates", "expired", "rejected",
     "bytes_read", "bytes_decoded", "peak_memory_bytes"), 2,
)  # fmt: skip
DEAL = {
    "state": "slashed", "client_id": OURS[0], "provider": "f05", "label": 'a "b"\n', "piece_cid": None,
    "piece_size": 2**40, "verified": True, "price": "9" * 30, "provider_collateral": "-1",
    "client_collateral": "0", "start_epoch": 1, "end_epoch": 2, "sector_number": 3, "sector_start_epoch": 4,
    "last_updated_epoch": -1, "slash_epoch": 5, "proposal_id": "p", "last_verified_at": NOON,
    "created_at": NOON, "updated_at": NOON, "run_id": 1,
}  # fmt: skip
CHANGE = {"previous_state": None, "new_state": "slashed", "epoch": 6, "run_id": 1, "changed_at": NOON}
REJECT = {"run_id": 1, "sequence": 0, "byte_offset": 8, "key": None, "reason": "r", "raw": b"\x00\xff"}
FILLED = ("deals", "deal_state_changes", "wallets", "etl_runs", "etl_rejects")

FEED = as_object([("5", deal())])


@pytest.fixture
def old(tables: Tables) -> Tables:
    """A database as version 1 made it, and a few rows in all tables; some were deleted."""
    tables.execute(*(statement.format_map(KINDS[tables.placeholder]) for statement in VERSION_1))
    tables.insert("etl_runs", RUN, RUN | {"status": "failed", "error": "e"})
    tables.insert("etl_rejects", REJECT)
    tables.insert("deals", *(DEAL | {"deal_id": number} for number in (10, 11, None, 13)))
    tables.insert("wallets", {"id": OURS[0], "address": None}, {"id": "f01", "address": "f3abc"})
    tables.insert("deal_state_changes", *(CHANGE | {"deals_id": number} for number in (1, 3, 4)))
    tables.execute("DELETE FROM deal_state_changes WHERE id = 1", "DELETE FROM deals WHERE id <= 2")
    return tables


@pytest.fixture
def new(request: pytest.FixtureRequest, etl: Etl, tables: Tables) -> Iterator[Tables]:
    """A database of the same kind as this version makes it."""
    with another(request, tables) as fresh:
        assert run(etl, fresh).status == 0
        yield fresh


@contextmanager
def another(request: pytest.FixtureRequest, tables: Tables) -> Iterator[Tables]:
    if isinstance(tables, Database):
        yield Database(tables.path.with_name("another.db"))
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as name:
        yield type(tables)(server.local(name))  # type: ignore[call-arg]


def run(etl: Etl, tables: Tables, *args: str) -> Completed:
    return etl.load("--source", etl.file(FEED), "--database", tables.url, *args)


def shape(tables: Tables) -> dict[str, Any]:
    """All that the database says of its tables."""
    engine = sa.create_engine(tables.url.replace("postgresql:", "postgresql+psycopg2:"))
    inspector = sa.inspect(engine)
    try:
        return {
            table: {
                "columns": [
                    {name: str(value) for name, value in column.items()}
                    for column in inspector.get_columns(table)
                ],
                "key": inspector.get_pk_constraint(table),
                "unique": inspector.get_unique_constraints(table),
                "indexes": inspector.get_indexes(table),
                "foreign": inspector.get_foreign_keys(table),
            }
            for table in inspector.get_table_names()
        }
    finally:
        engine.dispose()


def test_a_run_upgrades_an_old_database_and_keeps_every_row(etl: Etl, old: Tables, new: Tables) -> None:
    before = old.dump(*FILLED)
    completed = run(etl, old)
    assert (completed.status, completed.stderr) == (0, "")
    assert completed.report["inserted"] == 1
    after = old.dump(*FILLED)
    for name in FILLED:
        assert after[name][: len(before[name])] == before[name]
    assert [len(after[name]) - len(before[name]) for name in FILLED] == [1, 1, 0, 1, 0]
    assert shape(old) == shape(new)
    assert old.rows("etl_schema") == new.rows("etl_schema")


def test_numbering_goes_on_where_it_was(etl: Etl, old: Tables) -> None:
    report = run(etl, old).report
    assert report["run_id"] == 3
    assert [row["id"] for row in old.rows("deals")] == [3, 4, 5]
    assert [row["id"] for row in old.rows("deal_state_changes")] == [2, 3, 4]
    assert history(old)[-1] == (5, None, "active", HEAD, 3)


def test_others_can_insert_proposals_after_an_upgrade(etl: Etl, old: Tables) -> None:
    run(etl, old)
    old.insert("deals", {"state": "proposed", "client_id": OURS[0]})
    row = old.rows("deals")[-1]
    assert (row["provider"], row["start_epoch"], row["end_epoch"]) == (None, None, None)
    assert row["created_at"] is not None
    assert run(etl, old).report["unchanged"] == 1


@pytest.mark.parametrize("first", ["history", "wallets"])
def test_every_command_works_on_an_old_database(etl: Etl, old: Tables, new: Tables, first: str) -> None:
    kept = old.dump("deals", "deal_state_changes", "etl_runs", "etl_rejects")
    commands = [
        (("history",), "succeeded"),
        (("rejects",), "byte_offset"),
        (("wallets", "list"), f"{OURS[0]}\n"),
        (("wallets", "add", "f07"), "1 added"),
        (("wallets", "remove", "f3abc"), "1 removed"),
    ]
    for args, said in sorted(commands, key=lambda command: command[0][0] != first):
        completed = etl(*args, "--database", old.url)
        assert completed.status == 0
        assert said in completed.stdout + completed.stderr
    assert old.dump(*kept) == kept
    assert run(etl, old).status == 0
    assert shape(old) == shape(new)


def test_a_dry_run_upgrades_nothing(etl: Etl, old: Tables) -> None:
    before = old.dump(*FILLED), shape(old)
    assert run(etl, old, "--dry-run").report["inserted"] == 1
    assert (old.dump(*FILLED), shape(old)) == before


def test_an_upgrade_that_fails_midway_leaves_the_old_database(etl: Etl, old: Tables) -> None:
    if isinstance(old, Database):  # after some tables were moved
        old.execute('CREATE TABLE "deals of the older version" (x)')
    else:  # after some columns were altered; marked, they are not compared
        old.execute(
            "CREATE TABLE etl_schema (name TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL)",
            "INSERT INTO etl_schema VALUES ('etl', 1), ('deals', 1)",
            "ALTER TABLE deals RENAME COLUMN updated_at TO touched_at",
        )
    before = old.dump(*FILLED), shape(old)
    for completed in (run(etl, old), etl("wallets", "add", "f07", "--database", old.url)):
        assert completed.status == 74
        assert completed.message.startswith("database: opening: ")
    assert (old.dump(*FILLED), shape(old)) == before


def test_what_others_made_of_the_tables_outlives_an_upgrade(etl: Etl, old: Tables) -> None:
    old.execute(
        "CREATE VIEW theirs AS SELECT deal_id, new_state FROM deals JOIN deal_state_changes"
        " ON deals.id = deals_id",
        "CREATE INDEX by_client ON deals (client_id, state)",
        "CREATE TABLE log (id BIGINT)",
    )
    if isinstance(old, Database):
        old.execute("CREATE TRIGGER noted AFTER INSERT ON deals BEGIN INSERT INTO log VALUES (new.id); END")
    else:
        old.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN INSERT INTO log VALUES (new.id); RETURN NULL; END'",
            "CREATE TRIGGER noted AFTER INSERT ON deals FOR EACH ROW EXECUTE FUNCTION note()",
        )
    assert run(etl, old).status == 0
    assert old.query("SELECT * FROM theirs WHERE deal_id = 5") == [{"deal_id": 5, "new_state": "active"}]
    assert "by_client" in [index["name"] for index in shape(old)["deals"]["indexes"]]
    assert old.query("SELECT id FROM log") == [{"id": 5}]


COMMANDS = (
    ("run", "deals", "--source", "feed", "--client", OURS[0], "-q"),
    ("run", "deals", "--source", "feed", "--client", OURS[0], "-q", "--dry-run"),
    ("run", "deals", "--source", "feed", "-q"),
    ("wallets", "add", "f07"),
    ("wallets", "list"),
    ("wallets", "remove", OURS[0]),
    ("history",),
    ("rejects",),
)


def test_a_newer_database_is_refused_and_left_alone(etl: Etl, tables: Tables) -> None:
    run(etl, tables)
    assert etl("wallets", "add", OURS[0], "--database", tables.url).status == 0
    tables.execute("UPDATE etl_schema SET version = 99")
    before = tables.dump(*FILLED, "etl_schema"), shape(tables)
    for command in COMMANDS:
        completed = etl(*command, "--database", tables.url)
        assert (completed.status, completed.stdout) == (78, "")
        assert "version 99" in completed.message
    assert (tables.dump(*FILLED, "etl_schema"), shape(tables)) == before
