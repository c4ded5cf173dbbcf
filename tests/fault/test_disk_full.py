"""A disk that is full: below the database, the staged rows, or the file of rejects."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.feeds import as_object
from tests.databases import Database

from .conftest import MakeCase
from .ground import feed
from .oracle import Case
from .tally import TALLY, draw, times

FULL = "(No space left on device|File too large)"
REFUSED = rf"(database: .*\(SQLITE_(FULL|IOERR\w*)\)|a temporary file: {FULL})"
NOWHERE = "a temporary file: No usable temporary directory"


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
def small(here: Case, way: str, folder: Path, room: int) -> Iterator[Callable[[], None] | None]:
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
        with small(here, way, here.work, size + room) as prepare:
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
        with small(here, way, here.temporary, room) as prepare:
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
        committed = here.judge(command, 74, says=REFUSED if room else NOWHERE)
        assert not committed
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_no_room_for_the_rejects(case: MakeCase, kind: str) -> None:
    here = case(kind)
    with TALLY.case("no room for rejects"):
        command = here.start("--rejects", "/dev/full")
        command.wait()
        committed = here.judge(command, 74, says="/dev/full: No space left on device")
        assert not committed
        here.judge_rerun(committed)
