"""One run at a time on a database, of either kind, however the one before ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from etl.database.target import Target
from etl.ledger.lock import take_lock
from tests.support.command import Etl, Running, let_end, under_way
from tests.support.databases import Tables, moment
from tests.support.processes import alive, children, kill_at_once, until

from .checks import assert_accounts_balance
from .feeds import OURS, as_object, deal, expected

DOCUMENT = as_object([(str(number), deal()) for number in range(50)])
ANOTHER = as_object([("1000", deal())])


def start_waiting(etl: Etl, *args: str | Path) -> Running:
    """A run that was told to wait for another, and says that it does."""
    waiting = etl.start("run", "deals", "--client", OURS[0], "--wait-lock", *args)
    assert waiting.stderr is not None
    assert b"waiting for another run" in waiting.stderr.readline()
    return waiting


def test_a_second_run_ends_at_once_and_names_the_first(etl: Etl, tables: Tables) -> None:
    source = etl.file(ANOTHER)
    with under_way(etl, tables, DOCUMENT) as running:
        first = tables.last_run()
        start = time.monotonic()
        second = etl.load("--source", source, "--database", tables.url)
        assert time.monotonic() - start < 5
        assert second.status == 75
        started = f"{moment(first['started_at']):%Y-%m-%d %H:%M:%S}"
        assert f"run {first['run_id']}, since {started} UTC" in second.message
        told = tables.last_run()
        assert (told["status"], told["error"]) == ("failed", second.message)
        assert told["run_id"] > first["run_id"]
        completed = let_end(running, DOCUMENT)
        assert (completed.status, completed.stderr) == (0, "")
    assert tables.deals() == expected(DOCUMENT).rows
    assert [row["status"] for row in tables.rows("etl_runs")] == ["succeeded", "failed"]
    assert etl.loaded(ANOTHER, "--database", tables.url)["inserted"] == 1


def test_a_run_that_is_told_to_waits_for_the_one_before(etl: Etl, tables: Tables) -> None:
    source = etl.file(ANOTHER)
    with under_way(etl, tables, DOCUMENT) as running:
        waiting = start_waiting(etl, "--json", "--source", source, "--database", tables.url)
        time.sleep(1)  # twice what it waits at a time
        assert waiting.poll() is None
        assert len(tables.rows("etl_runs")) == 1
        assert let_end(running, DOCUMENT).status == 0
    completed = waiting.done()
    assert completed.status == 0
    (line,) = completed.stderr.splitlines()
    assert line.startswith("1 of 1 records matched: 1 inserted")
    assert completed.report["inserted"] == 1
    assert len(tables.deals()) == 51


def test_a_run_that_waits_keeps_nobody_from_writing(etl: Etl, tables: Tables) -> None:
    """Not even where there are no tables yet, and the run before is about to create them."""
    database = Target(tables.url).database
    engine = database.engine()
    with engine.connect() as connection:
        take_lock(database, connection, "deals", wait=False)
        at = ("--source", etl.file(ANOTHER), "--database", tables.url)
        waiting = start_waiting(etl, *at)
        tables.execute("CREATE TABLE etl_runs_of_another (run_id BIGINT)")
        assert waiting.poll() is None
    engine.dispose()
    assert waiting.done().status == 0
    assert list(tables.deals()) == [1000]


def test_a_run_that_waits_can_be_stopped(etl: Etl, tables: Tables) -> None:
    source = etl.file(ANOTHER)
    with under_way(etl, tables, DOCUMENT) as running:
        waiting = start_waiting(etl, "--source", source, "--database", tables.url)
        waiting.send_signal(signal.SIGINT)
        assert waiting.done(timeout=5).status == 130
        assert let_end(running, DOCUMENT).status == 0


def test_what_only_looks_needs_not_wait(etl: Etl, tables: Tables) -> None:
    at = ("--database", tables.url)
    with under_way(etl, tables, DOCUMENT) as running:
        assert "interrupted" in etl("history", *at).stdout
        assert etl("wallets", "add", "f01000", *at).status == 0
        assert etl("wallets", "list", *at).stdout == "f01000\n"
        assert let_end(running, DOCUMENT).status == 0


@pytest.mark.parametrize("whom", ["the whole run", "its parent", "its writer"])
def test_a_killed_run_holds_nothing(etl: Etl, tables: Tables, whom: str) -> None:
    with under_way(etl, tables, DOCUMENT) as running:
        processes = [running.pid, *children(running.pid)]
        killed = {"the whole run": processes, "its parent": processes[:1], "its writer": processes[1:2]}[
            whom
        ]
        kill_at_once(killed)
        until(lambda: not any(map(alive, processes[1:])))
        running.done()
    until(lambda: etl.load("--source", etl.file(ANOTHER), "--database", tables.url).status == 0, 5)
    assert list(tables.deals()) == [1000]
    assert tables.rows("etl_runs")[0]["status"] == "failed"


def test_many_runs_at_once_take_turns(etl: Etl, tables: Tables) -> None:
    sources = [etl.file(as_object([(str(number), deal())]), f"feed{number}") for number in range(3)]
    at = ("--database", tables.url, "--wait-lock")
    running = [etl.start(*etl.loading("--source", source, *at)) for source in sources]
    for completed in [each.done() for each in running]:
        assert (completed.status, completed.stderr) == (0, "")
        assert completed.report["inserted"] == 1
        assert_accounts_balance(completed.report)
    assert sorted(tables.deals()) == [0, 1, 2]
