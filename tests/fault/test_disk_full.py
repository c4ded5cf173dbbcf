"""A disk that is full: below the database, the staged rows, or the file of rejects."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.feeds import as_object, deal
from tests.support.command import Etl
from tests.support.databases import Database

from .cases import TALLY, draw, times
from .conftest import MakeCase
from .workload import feed

FULL = "(No space left on device|File too large)"
REFUSED = rf"(database: .*\(SQLITE_(FULL|IOERR\w*)\)|a temporary file: {FULL})"


def limited(size: int) -> None:
    """Let no file grow beyond a size (setrlimit(2)); Python ignores the signal."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def mount(folder: Path, size: int) -> bool:
    """Put a small disk there, if we may."""
    options = f"size={size}"
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() or not mount(Path(name), 1 << 16):
            return False
        unmount(Path(name))
        return True


WAYS = ["limit", "disk"] if _may_mount() else ["limit"]


@contextmanager
def small(way: str, folder: Path, room: int) -> Iterator[Callable[[], None] | None]:
    """Leave so much room in a folder, or to any file; yields what prepares the command."""
    if way == "limit":
        yield partial(limited, room)
        return
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    assert mount(folder, max(room, 4096))
    try:
        for path, data in kept.items():
            path.write_bytes(data)
        yield None
        kept = {path: path.read_bytes() for path in folder.iterdir()}
    finally:
        unmount(folder)
    for path, data in kept.items():
        path.write_bytes(data)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_no_room_for_the_database(case: MakeCase, number: int, way: str) -> None:
    here = case("SQLite")
    assert isinstance(here.tables, Database)
    size = here.tables.path.stat().st_size
    room = draw(f"database {way}", number).randrange(4096, here.ground.matched * 250)
    with TALLY.case("no room for the database"):
        with small(way, here.work, size + room) as prepare:
            command = here.start(prepare=prepare)
            command.wait()
        committed = here.judge(command, 74, 0, says=REFUSED, recorded=None)
        here.judge_rerun(committed)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_no_room_for_the_staged_rows(case: MakeCase, number: int, way: str) -> None:
    here = case("PostgreSQL")
    room = draw(f"staged {way}", number).randrange(here.ground.matched * 180)
    with TALLY.case("no room for staged rows"):
        with small(way, here.temporary, room) as prepare:
            command = here.start(prepare=prepare)
            command.wait()
        committed = here.judge(command, 74, 0, says=REFUSED)
        here.judge_rerun(committed)


@pytest.mark.parametrize("room", [0, 100])
def test_no_room_for_the_last_staged_rows(case: MakeCase, tmp_path: Path, room: int) -> None:
    """So few that they stay in a buffer, whose end must not come after the commit."""
    here = case("PostgreSQL")
    source = tmp_path / "few.json"
    source.write_bytes(as_object(feed()[:20]))
    with TALLY.case("no room for staged rows"):
        command = here.start(prepare=partial(limited, room), source=str(source))
        command.wait()
        committed = here.judge(command, 74, says=REFUSED)
        assert not committed
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
@pytest.mark.parametrize("where", ["/dev/full", *(["disk"] if "disk" in WAYS else [])])
def test_no_room_for_the_rejects(case: MakeCase, tmp_path: Path, kind: str, where: str) -> None:
    """Neither for the first byte, nor for what comes after a page of them."""
    here = case(kind)
    source = tmp_path / "rejects.json"
    refused = [(f"canary {'x' * 1000} {number}", deal()) for number in range(20)]
    source.write_bytes(as_object([*feed(), *refused]))
    with TALLY.case("no room for rejects"):
        folder = tmp_path / "small"
        folder.mkdir()
        with small(where, folder, 4096) if where == "disk" else contextlib.nullcontext():
            file = folder / "rejects" if where == "disk" else Path(where)
            command = here.start("--rejects", str(file), source=str(source))
            command.wait()
        committed = here.judge(command, 74, says=f"{file}: No space left on device")
        assert not committed
        here.judge_rerun(committed)


@pytest.mark.skipif("disk" not in WAYS, reason="may not mount a small disk")
@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_no_room_at_the_server(case: MakeCase, tmp_path: Path, number: int) -> None:
    """All tables of the database are on a disk of their own, which is full at some point."""
    here = case("PostgreSQL")
    random = draw("server's disk", number)
    folder = Path(tempfile.mkdtemp(prefix="sluice-small-"))
    name = here.tables.query("SELECT current_database() AS name")[0]["name"]
    size = here.tables.query("SELECT pg_database_size(current_database()) AS size")[0]["size"]
    here.tables.execute("CHECKPOINT")
    with TALLY.case("no room at the server"):
        assert mount(folder, size + (1 << 20) + random.randrange(here.ground.matched * 600))
        try:
            here.ground.server.owns(folder)
            here.ground.server.do(f"CREATE TABLESPACE small LOCATION '{folder}'")
            here.ground.server.do(f"ALTER DATABASE {name} SET TABLESPACE small")
            command = here.start()
            command.wait()
            # Its own note of the failure may find no room either.
            committed = here.judge(
                command,
                74,
                0,
                says=r"database: (opening|staging|merging): DiskFull \(53100\)",
                recorded=None,
            )
        finally:
            here.ground.server.do(f"ALTER DATABASE {name} SET TABLESPACE pg_default")
            here.ground.server.do("DROP TABLESPACE small")
            unmount(folder)
            folder.rmdir()
        here.judge_rerun(committed)


# A file of columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_no_room_for_the_file_of_columns(tmp_path: Path, way: str, number: int) -> None:
    """The older file stays as it was, and nothing of the new one is left."""
    deals = (deal(Label=f"label {n * n * 7919}", Provider=f"f0{n * 31 % 977}") for n in range(30_000))
    (tmp_path / "feed").write_bytes(as_object((str(n), record) for n, record in enumerate(deals)))
    there = tmp_path / "there"
    there.mkdir()
    output = there / "deals.parquet"
    with TALLY.case("no room for the file of columns"), closing(Etl(tmp_path)) as command:
        run = ("run", "market_deals", "--source", "feed", "--output", output, "--json", "-q")
        assert command(*run, "--batch-size", "1000").status == 0
        older, whole = output.read_bytes(), output.stat().st_size
        # A database of the ledger alone is smaller than a quarter of the file.
        room = draw(f"columns {way}", number).randrange(whole // 4, whole)
        with small(way, there, len(older) + room if way == "disk" else room) as prepare:
            completed = command(*run, "--batch-size", "1000", preexec_fn=prepare)
            assert completed.status == 74, completed.stderr
            assert re.fullmatch(rf"{output}: {FULL}", completed.message)
            assert completed.report["status"] == "failed"
            assert completed.report["error"] == completed.message
            assert output.read_bytes() == older
            assert [path.name for path in there.iterdir()] == [output.name]
        assert command(*run).report["inserted"] == 30_000


# No shared memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_no_room_for_the_shared_memory(case: MakeCase, kind: str) -> None:
    """The slabs are larger than what processes may have; for all else there is enough."""
    here = case(kind)
    with TALLY.case("no shared memory"):
        room = 4 << 30
        limit = partial(resource.setrlimit, resource.RLIMIT_AS, (room, room))
        command = here.start(prepare=limit, ETL_RECORD_BYTES=str(room // 4))
        command.wait()
        committed = here.judge(command, 70, says="the system gives no memory .*: Cannot allocate memory")
        assert not committed
        here.judge_rerun(committed)
