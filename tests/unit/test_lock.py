"""The lock of an SQLite file, taken before there is a connection."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from etl.database.database import Lock
from etl.database.file_lock import FileLock
from etl.database.target import Target
from etl.errors import DatabaseError, LockHeld
from etl.ledger.lock import take_lock


def lock_early(url: str) -> Lock | None:
    return Target(url).database.early_lock()


def is_free(path: str) -> bool:
    lock = FileLock(path)
    try:
        return lock.attempt()
    finally:
        lock.close()


def test_it_is_taken_once(tmp_path: Path) -> None:
    first = lock_early(f"sqlite:///{tmp_path}/deals.db")
    assert isinstance(first, FileLock)
    assert lock_early(f"sqlite:///{tmp_path}/deals.db") is None
    assert not is_free(first.path)
    first.close()
    second = lock_early(f"sqlite+pysqlite:///{tmp_path}/deals.db")
    assert second is not None
    second.close()


def test_whoever_has_it_already_goes_on_with_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deals.db"
    early = lock_early(url)
    assert isinstance(early, FileLock)
    database = Target(url).database
    engine = database.engine()
    with engine.connect() as connection:
        with pytest.raises(LockHeld):
            take_lock(database, connection, "deals", wait=False)
        assert take_lock(database, connection, "deals", wait=False, held=early) is early
    engine.dispose()
    assert not is_free(early.path)  # SQLite is done with the file, and the lock still held
    early.close()


@pytest.mark.parametrize(
    "url", ["sqlite:///:memory:", "sqlite://", "sqlite:///a.db?timeout=5", "postgresql:///a"]
)
def test_what_else_a_url_may_say_is_left_to_the_connection(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lock_early(url) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_left_to_the_connection(tmp_path: Path) -> None:
    assert lock_early(f"sqlite:///{tmp_path}/no-such-folder/deals.db") is None


# Where open files have no locks ------------------------------------------------------------------------


def refusing(monkeypatch: pytest.MonkeyPatch, number: int, *commands: int) -> None:
    """Have the system refuse some of fcntl's commands."""
    real = fcntl.fcntl

    def refused(file: int, command: int, argument: bytes = b"") -> object:
        if command in commands:
            raise OSError(number, os.strerror(number))
        return real(file, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refused)


needs_ofd = pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="this system has none at all")


@needs_ofd
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_them_a_file_beside_is_locked_whichever_link_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refusing(monkeypatch, number, fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK)
    (tmp_path / "deals.db").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.db").symlink_to("../deals.db")
    lock = FileLock(str(tmp_path / "deals.db"))
    assert lock.attempt()
    assert not is_free(f"{tmp_path}/folder/link.db")
    assert lock_early(f"sqlite:///{tmp_path}/folder/link.db") is None
    lock.close()
    assert is_free(f"{tmp_path}/folder/link.db")
    assert {path.name for path in tmp_path.iterdir()} == {"deals.db", "deals.db.lock", "folder"}


@needs_ofd
def test_two_kinds_of_locks_are_never_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are locks, but no room for another one just now: somebody may hold one."""
    path = str(tmp_path / "deals.db")
    first = FileLock(path)
    assert first.attempt()
    refusing(monkeypatch, errno.ENOLCK, fcntl.F_OFD_SETLK)
    second = FileLock(path)
    with pytest.raises(DatabaseError, match="cannot be locked"):
        second.attempt()
    second.close()
    first.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["deals.db"]


@needs_ofd
def test_a_folder_that_takes_no_lock_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, errno.EINVAL, fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK)
    (tmp_path / "deals.db.lock").mkdir()
    with pytest.raises(DatabaseError, match=r"deals\.db\.lock cannot be locked.*directory"):
        lock_early(f"sqlite:///{tmp_path}/deals.db")
