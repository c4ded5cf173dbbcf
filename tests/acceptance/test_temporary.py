"""Where temporary files go, where the system's folders are full, cannot be written, or are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from etl import temporary
from etl.errors import DatabaseError
from tests.support.command import Completed, Etl
from tests.support.postgresql import Server
from tests.support.processes import children

from .feeds import OURS, as_object, deal

ROWS = 15_000
"""So many that SQLite's cache does not hold what is staged."""

RUN = ("run", "deals", "--source", "feed", "--client", OURS[0], "--json", "-q")


def _may_mount() -> bool:
    """Whether disks can be put in place for a command alone (unshare(1), mount(8))."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return (
            os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


needs_mount = pytest.mark.skipif(not _may_mount(), reason="may not mount a small disk")


@pytest.fixture(scope="module")
def document() -> bytes:
    return as_object([(str(number), deal(Label=f"label {number * 7919}")) for number in range(ROWS)])


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database; the file is in the folder that the command works in."""
    if request.param == "SQLite":
        yield "sqlite:///deals.db"
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as name:
        yield server.remote(name)


def run_with_disks(etl: Etl, disks: dict[str, str], *args: str) -> Completed:
    """Run the command where disks are mounted that nobody else sees; its folder is bound to /mnt."""
    mounts = [f'mount -t tmpfs -o "{options}" none {folder}' for folder, options in disks.items()]
    script = " && ".join(['mount --bind "$1" /mnt', *mounts, "shift", "cd /mnt", 'exec "$@"'])
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(etl.directory), sys.executable, "-m", "etl"]
    completed = subprocess.run(
        [*command, *args],
        env={name: value for name, value in os.environ.items() if name in ("PATH", "LANG")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Completed(completed.returncode, completed.stdout, completed.stderr)


@needs_mount
@pytest.mark.parametrize("options", ["size=8k", "size=1m,ro"])
def test_where_the_systems_folders_are_of_no_use_another_one_serves(
    etl: Etl, url: str, document: bytes, options: str
) -> None:
    etl.file(document)
    disks = dict.fromkeys(("/tmp", "/var/tmp"), options)
    completed = run_with_disks(etl, disks, *RUN, "--database", url)
    assert (completed.status, completed.stderr) == (0, "")
    assert completed.report["inserted"] == ROWS
    left = {path.name for path in etl.directory.iterdir()} - {"deals.db"}
    assert left == {"feed"}


@needs_mount
def test_a_folder_that_runs_full_is_named_and_what_it_was_for(etl: Etl, url: str, document: bytes) -> None:
    etl.file(document)
    small = etl.directory / "small"
    small.mkdir()
    completed = run_with_disks(
        etl, {"/mnt/small": "size=256k"}, *RUN, "--database", url, "--temp-dir", "small"
    )
    assert completed.status == 74, completed.stderr
    assert "/mnt/small" in completed.message
    assert "--temp-dir" in completed.message
    assert "database or disk is full" not in completed.message
    assert completed.report["error"] == completed.message
    if url.startswith("sqlite"):
        assert "the folder for temporary files, /mnt/small, that takes nothing" in completed.message
    else:
        assert "staged rows could not be kept" in completed.message


@needs_mount
def test_a_full_disk_below_the_database_is_told_from_the_folder(etl: Etl, document: bytes) -> None:
    etl.file(document)
    (etl.directory / "small").mkdir()
    completed = run_with_disks(
        etl, {"/mnt/small": "size=512k"}, *RUN, "--database", "sqlite:///small/deals.db"
    )
    assert completed.status == 74, completed.stderr
    assert "the disk of /mnt/small/deals.db takes nothing" in completed.message


@pytest.mark.parametrize("name", ["missing", "feed"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_folder_that_is_named_has_to_serve(etl: Etl, name: str, how: str) -> None:
    etl.file(as_object([("1", deal())]))
    named = ("--temp-dir", name) if how == "option" else ()
    completed = etl(*RUN[:-2], *named, env={} if named else {"ETL_TEMP_DIR": name})
    assert completed.status == 78
    assert f"{etl.directory / name}: no temporary file can be made there" in completed.message
    assert not (etl.directory / "deals.db").exists()


@pytest.mark.parametrize("variable", ["TMPDIR", "SQLITE_TMPDIR"])
def test_a_folder_of_the_environment_that_is_not_there_is_passed_over(
    etl: Etl, url: str, document: bytes, variable: str
) -> None:
    etl.file(document)
    completed = etl(*RUN, "--database", url, env={variable: "/missing"})
    assert (completed.status, completed.stderr) == (0, "")


def test_the_folder_that_is_named_is_the_one_that_is_used(etl: Etl, url: str, document: bytes) -> None:
    """Whichever other there is: it is found among the open files of the writer (Linux)."""
    folder = etl.directory / "of'its own"
    folder.mkdir()
    etl.file(document)
    used: set[str] = set()
    running = etl.start(*RUN, "--database", url, "--temp-dir", folder)
    while running.poll() is None:
        used |= {file for pid in children(running.pid) for file in open_files(pid) if str(folder) in file}
    completed = running.done()
    assert completed.status == 0, completed.stderr
    assert used
    assert list(folder.iterdir()) == []


def open_files(pid: int) -> list[str]:
    """The files that a process has open."""
    found = []
    with suppress(OSError):  # it has ended
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def test_where_no_folder_serves_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    monkeypatch.setattr(temporary, "_usual", lambda _beside: folders)
    monkeypatch.setattr(temporary, "_chosen", None)
    with pytest.raises(DatabaseError, match=f"{folders[0]}, {folders[1]}: name a folder with --temp-dir"):
        temporary.folder()
