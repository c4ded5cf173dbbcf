"""The Parquet file: replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from etl.errors import DatabaseError
from etl.sink.arrow import message_of
from etl.sink.parquet_file import ParquetFile
from pipelines.market_deals.columns import COLUMNS


def row(number: int, label: str = "") -> tuple[Any, ...]:
    """Return a row with its position."""
    return 0, number, "f01", "f02", label, None, 1, True, "0", "0", "0", 1, 2, None, -1, -1, -1


def write(path: Path, *groups: list[tuple[Any, ...]]) -> ParquetFile:
    """Write a file in the given row groups, all but put in place."""
    file = ParquetFile(path, COLUMNS, None)
    for group in groups:
        file.load([message_of(group, COLUMNS.schema)])
    file.finish()
    return file


def labels(path: Path) -> list[tuple[int, str]]:
    return [(row["deal_id"], row["label"]) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(params=["unnamed", "named"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "named":  # as on systems without O_TMPFILE
        monkeypatch.delattr(os, "O_TMPFILE")
    return tmp_path / "deals.parquet"


def test_it_shows_only_when_it_is_put_in_place(path: Path) -> None:
    file = write(path, [row(1, "a")])
    assert not path.exists()
    file.put_in_place()
    file.close()
    assert labels(path) == [(1, "a")]
    assert list(path.parent.iterdir()) == [path]


def test_what_is_not_put_in_place_leaves_no_trace(path: Path) -> None:
    write(path, [row(1)]).close()
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_run_left_is_overwritten(path: Path) -> None:
    (path.parent / ".deals.parquet.partial").write_bytes(b"half")
    file = write(path, [row(1, "a")])
    file.put_in_place()
    file.close()
    assert labels(path) == [(1, "a")]
    assert list(path.parent.iterdir()) == [path]


def test_of_rows_with_one_key_the_last_is_kept_and_the_order_stays(path: Path) -> None:
    file = write(path, [row(1, "a"), row(2, "b"), row(1, "c")], [row(3, "d"), row(2, "e")], [row(4, "f")])
    assert file.counts == {"inserted": 4, "duplicates": 2}
    file.put_in_place()
    file.close()
    assert labels(path) == [(1, "c"), (3, "d"), (2, "e"), (4, "f")]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"none/deals\.parquet: No such file or directory"):
        ParquetFile(tmp_path / "none" / "deals.parquet", COLUMNS, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    (tmp_path / ".deals.parquet.partial").symlink_to("/dev/full")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    file = ParquetFile(tmp_path / "deals.parquet", COLUMNS, None)
    file.load([message_of([row(number) for number in range(100_000)], COLUMNS.schema)])
    with pytest.raises(DatabaseError, match="No space left on device"):
        file.finish()
    file.close()
