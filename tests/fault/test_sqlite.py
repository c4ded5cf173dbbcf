"""SQLite under a run: locked by somebody else, read-only, no database at all, or deleted."""

from __future__ import annotations

import ctypes
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.databases import Database

from .cases import TALLY
from .conftest import MakeCase
from .invariants import Case

LOCKS = {"writes": ("BEGIN IMMEDIATE",), "reads": ("BEGIN", "SELECT * FROM etl_runs")}


def path_of(here: Case) -> Path:
    assert isinstance(here.tables, Database)
    return here.tables.path


@contextmanager
def locked(here: Case, how: str) -> Iterator[None]:
    """Hold a transaction, as another process."""
    with closing(sqlite3.connect(path_of(here), isolation_level=None)) as connection:
        for statement in LOCKS[how]:
            connection.execute(statement).fetchone()
        yield


@pytest.mark.parametrize(
    ("how", "point"),
    [("writes", "locked:1"), ("writes", "staged:1"), ("writes", "merging:1"), ("reads", "merged:1")],
)
def test_a_lock_is_waited_for(case: MakeCase, how: str, point: str) -> None:
    """Whoever reads holds up no more than COMMIT."""
    here = case("SQLite")
    with TALLY.case("file locked for a while"):
        command = here.start(fault=f"writer.{point}:STOP")
        command.held("writer")
        with locked(here, how):
            command.send("writer", signal.SIGCONT)
            time.sleep(1)
            assert point == "staged:1" or command.running
        here.judge_both(command, 0)


@pytest.mark.parametrize(
    ("how", "point"),
    [("writes", "locked:1"), ("writes", "merging:1"), ("reads", "merged:1")],
)
def test_a_lock_held_for_longer_than_the_url_says_ends_the_run(
    case: MakeCase, how: str, point: str
) -> None:
    here = case("SQLite")
    with TALLY.case("file locked for too long") as entry:
        command = here.start(fault=f"writer.{point}:STOP", url=f"{here.url}?timeout=0.5")
        command.held("writer")
        with locked(here, how):
            fault = time.monotonic()
            command.send("writer", signal.SIGCONT)
            command.wait(10)
            entry.noticed = command.ended - fault
        committed = here.judge(command, 74, says=r"\(SQLITE_BUSY\) database is locked", recorded=False)
        assert not committed
        here.judge_rerun(committed)


# Read-only ---------------------------------------------------------------------------------------------


def unprivileged() -> None:
    """Have root's commands heed the modes of files, too (capabilities(7), prctl(2))."""
    pr_capbset_drop, cap_dac_override = 24, 1
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override)


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_may_not_be_written_ends_the_run(case: MakeCase, what: str) -> None:
    here = case("SQLite")
    path = path_of(here)
    with TALLY.case(f"{what} read-only"):
        closed, mode = (path, 0o444) if what == "file" else (path.parent, 0o555)
        before = closed.stat().st_mode
        closed.chmod(mode)
        try:
            command = here.start(prepare=unprivileged)
            command.wait()
        finally:
            closed.chmod(before)
        says = "Permission denied" if what == "file" else r"\(SQLITE_(READONLY\w*|CANTOPEN)\)"
        committed = here.judge(command, 74, says=f"database: .*{says}", recorded=False)
        assert not committed
        here.judge_rerun(committed)


def test_a_file_that_is_no_database_is_left_alone(case: MakeCase) -> None:
    here = case("SQLite")
    path = path_of(here)
    with TALLY.case("no database"):
        good, other = path.read_bytes(), b"canary " * 1000
        path.write_bytes(other)
        command = here.start()
        command.wait()
        assert path.read_bytes() == other
        path.write_bytes(good)
        committed = here.judge(command, 74, says=r"\(SQLITE_NOTADB\)", recorded=False)
        assert not committed
        here.judge_rerun(committed)


@pytest.mark.parametrize("point", ["begun:1", "staged:5", "merging:1"])
def test_a_database_that_is_deleted_ends_the_run(case: MakeCase, point: str) -> None:
    here = case("SQLite", new=True)
    with TALLY.case("file deleted"):
        command = here.start(fault=f"writer.{point}:STOP")
        command.held("writer")
        path_of(here).unlink()
        command.send("writer", signal.SIGCONT)
        command.wait()
        committed = here.judge(command, 74, says=r"\(SQLITE_READONLY_DBMOVED\)", recorded=False)
        assert not committed
        here.judge_rerun(committed)
