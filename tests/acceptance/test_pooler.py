"""Runs by way of a pooler, which may give every transaction to another session; and what one shares."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.command import Etl, let_end, under_way
from tests.support.databases import ServerDatabase
from tests.support.pgbouncer import PROGRAM, Pooler, pooling
from tests.support.postgresql import Server
from tests.support.processes import until

from .checks import assert_accounts_balance, history
from .feeds import HEAD, as_object, awkward, deal, expected

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer (Debian: pgbouncer) is not there")

DOCUMENT = as_object(awkward())
WANTED = expected(DOCUMENT, nul=False)
CHANGED = as_object([*awkward(), *((str(10_000 + number), deal()) for number in range(50))])


@pytest.fixture(scope="session")
def pooler(postgresql: Server) -> Iterator[Pooler]:
    """A pooler in transaction mode."""
    with pooling(postgresql, "transaction") as pooler:
        yield pooler


@pytest.fixture
def name(postgresql: Server) -> Iterator[str]:
    """The name of a new database."""
    with postgresql.database() as name:
        yield name


@pytest.fixture
def tables(postgresql: Server, name: str) -> ServerDatabase:
    """A new database, by a direct connection."""
    return ServerDatabase(postgresql.local(name))


@pytest.fixture
def pooled(pooler: Pooler, name: str) -> ServerDatabase:
    """The same database by way of the pooler, which has several sessions there and takes them in turn."""
    pooler.fill(name)
    return ServerDatabase(pooler.url(name))


def left_behind(tables: ServerDatabase) -> list[dict[str, object]]:
    """Locks and temporary tables of sessions of other clients than the one that asks."""
    locks = "SELECT 'lock' AS what FROM pg_locks WHERE locktype = 'advisory'"
    temporary = "SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind IN ('r', 'i')"
    return tables.query(f"{locks} UNION ALL {temporary}")


def load(etl: Etl, tables: ServerDatabase, document: bytes, *args: str) -> dict[str, object]:
    report = etl.loaded(document, "--database", tables.url, *args)
    assert_accounts_balance(report)
    return report


@needs_pgbouncer
@pytest.mark.parametrize("batch", ["1", "10000"])
def test_runs_one_after_the_other_give_the_right_rows(
    etl: Etl, tables: ServerDatabase, pooled: ServerDatabase, batch: str
) -> None:
    for _ in range(3):  # whatever a dry run leaves in its session would come to light in another's
        assert load(etl, pooled, CHANGED, "--dry-run", "--batch-size", batch)["inserted"]
    assert not tables.has("deals")
    first = load(etl, pooled, DOCUMENT, "--batch-size", batch)
    assert first["inserted"] == len(WANTED.rows)
    assert tables.deals() == WANTED.rows
    assert len(history(tables)) == len(WANTED.rows)
    for _ in range(4):
        again = load(etl, pooled, DOCUMENT, "--batch-size", batch)
        assert (again["inserted"], again["updated"]) == (0, 0)
    assert load(etl, pooled, CHANGED, "--batch-size", batch)["inserted"] == 50
    assert tables.deals() == expected(CHANGED, nul=False).rows
    assert left_behind(tables) == []


@needs_pgbouncer
def test_the_lock_is_held_by_way_of_it_as_well(
    etl: Etl, tables: ServerDatabase, pooled: ServerDatabase
) -> None:
    for first, second in ((pooled, tables), (tables, pooled), (pooled, pooled)):
        with under_way(etl, first, DOCUMENT) as running:
            source = etl.file(CHANGED, "other")
            refused = etl.load("--source", source, "--database", second.url)
            assert refused.status == 75
            assert f"run {tables.rows('etl_runs')[-2]['run_id']}, since" in refused.message
            assert let_end(running, DOCUMENT).status == 0
    assert tables.deals() == WANTED.rows
    assert left_behind(tables) == []


@needs_pgbouncer
def test_other_commands_work_by_way_of_it(etl: Etl, tables: ServerDatabase, pooled: ServerDatabase) -> None:
    at = ("--database", pooled.url)
    assert etl("wallets", "add", "f01000", "f01001", *at).status == 0
    assert etl("wallets", "list", *at).stdout.split() == ["f01000", "f01001"]
    assert etl("wallets", "remove", "f01001", *at).status == 0
    assert [row["id"] for row in tables.rows("wallets")] == ["f01000"]
    load(etl, pooled, DOCUMENT)
    assert "succeeded" in etl("history", *at).stdout


@needs_pgbouncer
@pytest.mark.parametrize(("mode", "size"), [("transaction", 1), ("session", 2)])
def test_few_sessions_are_enough(
    etl: Etl, postgresql: Server, tables: ServerDatabase, name: str, mode: str, size: int
) -> None:
    with pooling(postgresql, mode, size) as pooler:
        pooled = ServerDatabase(pooler.url(name))
        assert load(etl, pooled, DOCUMENT)["inserted"] == len(WANTED.rows)
        assert load(etl, pooled, DOCUMENT)["unchanged"] == len(WANTED.rows)
    assert tables.deals() == WANTED.rows


@needs_pgbouncer
def test_a_pooler_that_knows_no_transactions_is_refused_before_anything_is_written(
    etl: Etl, postgresql: Server, tables: ServerDatabase, name: str
) -> None:
    with pooling(postgresql, "statement") as pooler:
        source = etl.file(DOCUMENT)
        completed = etl.load("--source", source, "--database", pooler.url(name))
    assert completed.status == 74
    assert "session" in completed.message
    assert "transaction" in completed.message
    assert not tables.has("etl_schema")


# What a run holds while it goes on -----------------------------------------------------------------------


def test_a_run_that_has_found_nothing_yet_holds_nothing_back(
    etl: Etl, tables: ServerDatabase, name: str
) -> None:
    """An open transaction with a number or a snapshot would keep VACUUM from what others delete."""
    with under_way(etl, tables, DOCUMENT) as running:
        time.sleep(0.3)
        (session,) = tables.query(
            "SELECT state, backend_xid, backend_xmin FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        assert session == {"state": "idle in transaction", "backend_xid": None, "backend_xmin": None}
        assert let_end(running, DOCUMENT).status == 0


def test_no_timeout_ends_a_run_that_waits_for_its_feed(etl: Etl, tables: ServerDatabase, name: str) -> None:
    tables.execute(
        f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = 200",
        f"ALTER DATABASE {name} SET transaction_timeout = 200",
    )
    with under_way(etl, tables, DOCUMENT) as running:
        time.sleep(1)
        completed = let_end(running, DOCUMENT)
    assert (completed.status, completed.stderr) == (0, "")
    assert tables.deals() == WANTED.rows


def test_a_run_that_lost_its_lock_to_another_does_not_merge_after_it(
    etl: Etl, tables: ServerDatabase, name: str
) -> None:
    """The other one may have read a newer feed."""
    with under_way(etl, tables, DOCUMENT) as running:
        tables.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        until(lambda: not tables.query("SELECT 1 AS x FROM pg_locks WHERE locktype = 'advisory'"))
        etl.loaded(CHANGED, "--database", tables.url)
        before = tables.dump()
        completed = let_end(running, DOCUMENT)
    assert completed.status == 74
    assert "another run was committed while the connection was lost" in completed.stderr
    assert tables.dump() == before
    assert [row["status"] for row in tables.rows("etl_runs")] == ["failed", "succeeded"]


def test_a_dry_run_that_is_cut_off_goes_on(etl: Etl, tables: ServerDatabase, name: str) -> None:
    at = ("--database", tables.url, "--dry-run")
    running = etl.start(*etl.loading("--source", "-", *at), stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(DOCUMENT[: len(DOCUMENT) // 2])
    running.stdin.flush()
    others = f"FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    idle = "state = 'idle in transaction' AND state_change < now() - interval '0.5 s'"  # so it has begun
    until(lambda: tables.query(f"SELECT 1 AS x {others} AND {idle}"))
    tables.execute(f"SELECT pg_terminate_backend(pid) {others}")
    completed = let_end(running, DOCUMENT)
    assert completed.status == 0
    assert completed.report["inserted"] == len(WANTED.rows)
    assert not tables.has("deals")


# Names that others use -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["public, pg_temp", "pg_temp, public", '"$user", public'])
def test_tables_of_the_names_that_a_run_stages_in_are_left_alone(
    etl: Etl, tables: ServerDatabase, path: str
) -> None:
    tables.execute("CREATE TABLE staging_deals (theirs TEXT)", "INSERT INTO staging_deals VALUES ('kept')")
    url = f"{tables.url}&options={quote('-c search_path=' + path.replace(' ', ''))}"
    assert load(etl, ServerDatabase(url), DOCUMENT)["inserted"] == len(WANTED.rows)
    assert load(etl, ServerDatabase(url), CHANGED)["inserted"] == 50
    assert tables.query("SELECT * FROM public.staging_deals") == [{"theirs": "kept"}]
    assert tables.deals() == expected(CHANGED, nul=False).rows
    assert HEAD in {row["epoch"] for row in tables.rows("deal_state_changes")}
