"""What the URL of an SQLite database may say: the file that is meant, and what cannot serve."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Etl, Running, let_end, under_way
from tests.support.databases import Database
from tests.support.processes import children, kill_at_once, until

from .feeds import OURS, as_object, awkward, deal, expected

DOCUMENT = as_object(awkward())
MATCHED = len(expected(DOCUMENT).rows)
SMALL = as_object([("1", deal())])
RUN = ("run", "deals", "--source", "feed", "--client", OURS[0], "-q")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"feed", "home"}


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///file:a.db?uri=true", "a.db"),
        ("sqlite:///file:a%2520b%253F.db?uri=true&mode=rwc", "a b?.db"),
        ("sqlite:///file:a.db%3Fcache=private?uri=true", "a.db"),
        ("sqlite+pysqlite:///a%20%3F%23%25.db?timeout=3", "a ?#%.db"),
        ("sqlite:///\N{SNOWMAN}.db", "\N{SNOWMAN}.db"),
        ("sqlite:///\udcff.db", "\udcff.db"),
    ],
)
def test_a_run_writes_and_a_reader_reads_the_file_that_is_meant(
    etl: Etl, tmp_path: Path, url: str, file: str
) -> None:
    report = etl.loaded(DOCUMENT, "--database", url)
    assert report["inserted"] == MATCHED
    assert names(tmp_path) == {file}
    assert etl("history", "--json", "--database", url).stdout.count("\n") == 1
    assert names(tmp_path) == {file}


@pytest.mark.parametrize(
    "url", ["sqlite:///file:deals.db?uri=true", "sqlite:///file:deals.db?uri=true&mode=rw"]
)
def test_the_lock_is_that_of_the_file_by_any_name(
    etl: Etl, database: Database, tmp_path: Path, url: str
) -> None:
    etl.loaded(SMALL)
    (tmp_path / "link.db").symlink_to("deals.db")
    with under_way(etl, database, DOCUMENT) as running:
        etl.file(SMALL)
        for other in (url, "sqlite:///link.db", "sqlite:///deals.db?timeout=1"):
            assert etl(*RUN, "--database", other).status == 75
        assert let_end(running, DOCUMENT).status == 0
    assert names(tmp_path) == {"deals.db", "link.db"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file::memory:?uri=true&cache=shared", "in memory"),
        ("sqlite:///file:x?uri=true&mode=memory", "in memory"),
        ("sqlite:///file:/x?uri=true&vfs=memdb", "in memory"),
        ("sqlite:///file:?uri=true", "in memory"),
        ("sqlite:///file:deals.db?uri=true&mode=ro", "nothing be written"),
        ("sqlite:///file:deals.db?uri=true&immutable=1", "nothing be written"),
        ("sqlite:///file:deals.db?uri=true&nolock=1", "nolock="),
        ("sqlite:///file:deals.db?uri=true&vfs=unix-none", "vfs="),
        ("sqlite:///file:deals.db?uri=true&mode=x", "mode="),
        ("sqlite:///file://host/deals.db?uri=true", "localhost"),
        ("sqlite:///deals.db?mode=ro", "sqlite:///file:PATH"),
        ("sqlite:///deals.db?mode=ro&uri=true", "sqlite:///file:PATH"),
        ("sqlite:///deals.db?timeout=1&timeout=2", "twice"),
        ("sqlite:///deals.db?timeout=long", "seconds"),
        ("sqlite:///deals.db?isolation_level=IMMEDIATE", "isolation_level="),
        ("sqlite://deals.db", "three slashes"),
        ("sqlite://host/deals.db", "three slashes"),
        ("sqlite:/deals.db", "sqlite:///PATH"),
        ("sqlite:deals.db", "sqlite:///PATH"),
        ("sqlite3:///deals.db", "sqlite:///PATH"),
        ("SQLite:///deals.db", "sqlite:///PATH"),
        ("sqlite+aiosqlite:///deals.db", "sqlite:///PATH"),
        ("file:deals.db", "sqlite:///PATH"),
        ("sqlite:///a%00b", "NUL"),
        ("deals.db", "sqlite:///PATH"),
    ],
)
def test_what_cannot_serve_is_refused_before_anything_is_written(
    etl: Etl, tmp_path: Path, url: str, says: str
) -> None:
    etl.file(SMALL)
    for command in (RUN, ("wallets", "add", OURS[0])):
        completed = etl(*command, "--database", url)
        assert (completed.status, completed.stdout) == (78, ""), completed.stderr
        assert says in completed.message
        assert names(tmp_path) == set()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///file:x?uri=true&mode=memory", "sqlite:///file:deals.db?uri=true&mode=ro"],
)
def test_a_dry_run_needs_nothing_that_lasts(etl: Etl, database: Database, url: str) -> None:
    etl.loaded(SMALL)
    before = database.path.read_bytes()
    report = etl.loaded(DOCUMENT, "--database", url, "--dry-run")
    assert report["inserted"] >= MATCHED - 1
    assert database.path.read_bytes() == before
    assert names(database.path.parent) == {"deals.db"}


# Only read ---------------------------------------------------------------------------------------------

READERS = (("history", "--json"), ("rejects", "--json"), ("wallets", "list"))


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("url", ["sqlite:///deals.db", "sqlite:///file:deals.db?uri=true&mode=ro"])
def test_who_only_reads_leaves_no_trace(etl: Etl, database: Database, journal: str, url: str) -> None:
    etl.loaded(SMALL)
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = database.path.read_bytes(), database.path.stat().st_mtime_ns
    for command in READERS:
        completed = etl(*command, "--database", url)
        assert (completed.status, completed.stderr) == (0, "")
        assert (database.path.read_bytes(), database.path.stat().st_mtime_ns) == before
        assert names(database.path.parent) == {"deals.db"}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_what_is_where_nothing_can_be_written_is_read(etl: Etl, database: Database, journal: str) -> None:
    etl.loaded(SMALL)
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    folder = database.path.parent / "closed"
    folder.mkdir()
    file = database.path.rename(folder / "deals.db")
    folder.chmod(0o555)
    file.chmod(0o444)
    settings: dict[str, Any] = {"preexec_fn": as_nobody_special} if os.geteuid() == 0 else {}
    try:
        for command in READERS:
            completed = etl(*command, "--database", f"sqlite:///{file}", **settings)
            assert (completed.status, completed.stderr) == (0, "")
        assert {path.name for path in folder.iterdir()} == {"deals.db"}
    finally:
        folder.chmod(0o755)


def as_nobody_special() -> None:
    """Have root's commands heed the modes of files, too (capabilities(7), prctl(2))."""
    pr_capbset_drop, cap_dac_override, cap_dac_read_search = 24, 1, 2
    for capability in (cap_dac_override, cap_dac_read_search):
        ctypes.CDLL(None).prctl(pr_capbset_drop, capability)


def test_what_a_killed_program_left_half_done_is_rolled_back_for_a_reader(
    etl: Etl, database: Database
) -> None:
    etl.loaded(SMALL)
    leave_hot_journal(database.path)
    assert (database.path.parent / "deals.db-journal").exists()
    completed = etl("history", "--json")
    assert (completed.status, completed.stdout.count("\n")) == (0, 1)
    assert database.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def leave_hot_journal(path: Path) -> None:
    """Write a transaction to the file, and end before it is committed."""
    if (child := os.fork()) == 0:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE other (a)")
        connection.executemany("INSERT INTO other VALUES (?)", [("x" * 1000,)] * 1000)
        connection.execute("DELETE FROM etl_runs")
        os._exit(0)
    os.waitpid(child, 0)


# Locks that the file system lacks ----------------------------------------------------------------------

LACKING = """
import errno, fcntl, os
real = fcntl.fcntl
def lacking(file, command, *rest):
    if command in (fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK):
        raise OSError({number}, os.strerror({number}))
    return real(file, command, *rest)
fcntl.fcntl = lacking
real_flock = fcntl.flock
def flock(file, how):
    if {flock}:
        raise OSError({number}, os.strerror({number}))
    return real_flock(file, how)
fcntl.flock = flock
"""


def without_locks(folder: Path, name: str, flock: bool = False) -> dict[str, str]:
    """Return an environment in which locks of open files are refused, as other kernels and disks do."""
    folder = folder / "home" / "lacking"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(LACKING.format(number=f"errno.{name}", flock=flock))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("name", ["EINVAL", "ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_without_locks_of_open_files_a_file_beside_is_locked(
    etl: Etl, database: Database, tmp_path: Path, name: str
) -> None:
    env = without_locks(tmp_path, name)
    etl.loaded(SMALL, env=env)
    (tmp_path / "link.db").symlink_to("deals.db")
    running = started_without(etl, database, env)
    etl.file(SMALL)
    for other in ("sqlite:///deals.db", "sqlite:///link.db", "sqlite:///file:deals.db?uri=true"):
        completed = etl(*RUN, "--database", other, env=env)
        assert (completed.status, completed.stdout) == (75, "")
    kill_at_once([running.pid, *children(running.pid)])
    running.wait()
    assert (tmp_path / "deals.db.lock").stat().st_size == 0
    etl.loaded(SMALL, env=env)  # what a crash leaves is not held


def test_without_any_locks_a_run_is_refused(etl: Etl, tmp_path: Path) -> None:
    etl.file(SMALL)
    completed = etl(*RUN, env=without_locks(tmp_path, "ENOLCK", flock=True))
    assert completed.status == 74
    assert "deals.db.lock cannot be locked" in completed.message


def started_without(etl: Etl, database: Database, env: dict[str, str]) -> Running:
    """Return a run that holds the lock and waits for its feed."""
    before = len(database.rows("etl_runs"))
    running = etl.start(*etl.loading("--source", "-"), env=env, stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(DOCUMENT[: len(DOCUMENT) // 2])
    running.stdin.flush()
    until(lambda: len(database.rows("etl_runs")) > before)
    return running
