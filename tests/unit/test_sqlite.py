"""SQLite's files opened only to read, or copied, by whatever name; and what a URL's options may be."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from etl.database.sqlite_files import connect_to_copy, connect_to_read
from etl.database.sqlite_urls import check
from etl.database.target import Target
from etl.errors import ConfigurationError

NAMES = ["plain.db", "a b?c#d%25&e=f.db", "\N{SNOWMAN}.db", "\udcff\udcfe.db", "it's.db", "file:x"]


def url_of(path: Path) -> str:
    """A URL of a path with any characters."""
    raw = os.fsencode(path)
    return f"sqlite:///{''.join(f'%{byte:02X}' for byte in raw)}"


@pytest.fixture(params=["DELETE", "WAL"])
def journal(request: pytest.FixtureRequest) -> str:
    mode: str = request.param
    return mode


def made(path: Path, journal: str, rows: int = 3) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"{n} {'x' * 500}",) for n in range(rows)])
        connection.commit()
    return path


def count(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("SELECT count(*) FROM t").fetchone()
    return int(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_cannot_write_and_leaves_nothing(tmp_path: Path, name: str, journal: str) -> None:
    path = made(tmp_path / name, journal)
    before = path.read_bytes()
    with closing(connect_to_read(url_of(path))) as connection:
        assert count(connection) == 3
        with pytest.raises(sqlite3.OperationalError, match="readonly database"):
            connection.execute("INSERT INTO t VALUES (1)")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_what_a_writer_has_committed_meanwhile(tmp_path: Path, journal: str) -> None:
    path = made(tmp_path / "a.db", journal)
    with closing(sqlite3.connect(path)) as writer, closing(connect_to_read(url_of(path))) as reader:
        writer.execute("INSERT INTO t VALUES (1)")
        assert count(reader) == 3
        writer.commit()
        assert count(reader) == 4


def test_what_stands_in_a_log_only_is_read(tmp_path: Path) -> None:
    """As a killed program leaves it: the log, but nobody who has it open."""
    path = made(tmp_path / "a.db", "WAL")
    if (child := os.fork()) == 0:
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        os._exit(0)
    os.waitpid(child, 0)
    before = path.read_bytes()
    for opened in (connect_to_read, connect_to_copy):
        with closing(opened(url_of(path))) as connection:
            assert count(connection) == 4
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    url = url_of(tmp_path / "missing.db")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect_to_read(url)
    with closing(connect_to_copy(url)) as copy:
        copy.execute("CREATE TABLE t (a)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_can_be_written_and_the_file_stays_as_it_was(
    tmp_path: Path, name: str, journal: str
) -> None:
    path = made(tmp_path / name, journal)
    before = path.read_bytes()
    engine = Target(url_of(path)).database.rehearsed().engine()
    for _ in range(2):  # the same copy each time
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO t SELECT * FROM t")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 12
    engine.dispose()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_takes_little_memory(tmp_path: Path) -> None:
    """50 MB of it are not kept in memory, nor what is written there."""
    path = made(tmp_path / "a.db", "DELETE", rows=100_000)
    assert path.stat().st_size > 50_000_000
    if (child := os.fork()) == 0:
        before = anonymous_bytes()
        copy = connect_to_copy(url_of(path))
        copy.execute("UPDATE t SET a = a || 'y'")
        os._exit(0 if anonymous_bytes() - before < 12_000_000 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def anonymous_bytes() -> int:
    """How much memory this process has for itself (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    pytest.skip("only Linux tells")


def test_an_engine_that_only_reads_refuses_to_write(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "DELETE")
    engine = Target(url_of(path)).database.engine(read_only=True)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 3
        with pytest.raises(sa.exc.OperationalError):
            connection.exec_driver_sql("DELETE FROM t")
    engine.dispose()


@pytest.mark.parametrize(
    ("options", "writes", "lasting", "serves"),
    [
        ("mode=ro", True, True, False),
        ("mode=ro", False, True, True),
        ("immutable=1", True, True, False),
        ("immutable=on", False, True, True),
        ("immutable=0", True, True, True),
        ("mode=memory", False, True, False),
        ("mode=memory", True, False, True),
        ("nolock=1", False, False, False),
        ("nolock=0", True, True, True),
        ("vfs=unix", True, True, True),
        ("vfs=unix-dotfile", False, False, False),
        ("mode=RO", False, False, False),
        ("timeout=1.5", True, True, True),
        ("timeout=-1", True, True, False),
        ("timeout=nan", True, True, False),
    ],
)
def test_an_option_serves_or_is_refused(options: str, writes: bool, lasting: bool, serves: bool) -> None:
    url = f"sqlite:///file:a.db?uri=true&{options}"
    if serves:
        check(url, writes=writes, lasting=lasting)
    else:
        with pytest.raises(ConfigurationError):
            check(url, writes=writes, lasting=lasting)
