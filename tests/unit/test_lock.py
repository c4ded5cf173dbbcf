"""The lock of an SQLite file, taken before there is a connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.database import open_engine
from etl.errors import LockHeld
from etl.lock import FileLock, lock_early, take_lock
from etl.target import Target


def is_free(path: str) -> bool:
    lock = FileLock(path)
    try:
        return lock.attempt()
    finally:
        lock.close()


def test_it_is_taken_once(tmp_path: Path) -> None:
    first = lock_early(f"sqlite:///{tmp_path}/deals.db")
    assert first is not None
    assert lock_early(f"sqlite:///{tmp_path}/deals.db") is None
    assert not is_free(first.path)
    first.close()
    second = lock_early(f"sqlite+pysqlite:///{tmp_path}/deals.db")
    assert second is not None
    second.close()


def test_whoever_has_it_already_goes_on_with_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deals.db"
    early = lock_early(url)
    assert early is not None
    engine = open_engine(Target(url))
    with engine.connect() as connection:
        with pytest.raises(LockHeld):
            take_lock(connection, "deals", wait=False)
        assert take_lock(connection, "deals", wait=False, held=early) is early
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
