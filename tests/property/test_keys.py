"""Of rows with the same key the last one is kept, whatever type the key is of: held to a plain dict."""

from __future__ import annotations

import math
import random
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.sink.arrow import Columns, message_of
from etl.sink.parquet_file import ParquetFile
from tests.support.effort import examples

BIG = 1 << 63
KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int64": (pa.int64(), [0, 1, -1, 7, BIG - 1, -BIG]),
    "uint64": (pa.uint64(), [0, 1, BIG, 2 * BIG - 1, BIG - 1]),
    "int8": (pa.int8(), [0, -1, 127, -128]),
    "uint32": (pa.uint32(), [0, 1, 2**32 - 1]),
    "text": (pa.string(), ["", "a", "b", "a\0", "a\0b", "é", "e\u0301", "1", "None", "x" * 300, "😀"]),
    "large text": (pa.large_string(), ["", "a", "A", "é"]),
    "bytes": (pa.binary(), [b"", b"a", b"a\0", b"\xff", b"\x00\x01"]),
    "three bytes": (pa.binary(3), [b"abc", b"ab\0", b"\xff\xfe\xfd"]),
    "decimal": (pa.decimal128(38, 2), [Decimal("0.00"), Decimal("-0.01"), Decimal("1e30"), Decimal(1)]),
    "float": (pa.float64(), [0.0, -0.0, 0.1, 1e300, math.inf, -math.inf, 1.0]),
    "bool": (pa.bool_(), [True, False]),
    "date": (pa.date32(), [date(1970, 1, 1), date(1, 1, 1), date(2026, 2, 3)]),
    "time": (pa.time64("us"), [time(1, 2, 3), time(1, 2, 3, 4)]),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, 0, 0, 1, tzinfo=UTC)],
    ),
    "duration": (pa.duration("ns"), [timedelta(0), timedelta(seconds=-1)]),
    "list": (pa.list_(pa.int32()), [[], [1], [1, 2], [12]]),
}  # fmt: skip


def write(folder: Path, kind: pa.DataType, key: str | None, groups: list[list[tuple[Any, ...]]]) -> Any:
    """Write rows of a key and a number, in row groups; return what is in the file, and the counts."""
    columns = Columns(pa.schema([pa.field("key", kind), pa.field("number", pa.int64())]), key)
    file = ParquetFile(folder / "x.parquet", columns, None)
    try:
        for group in groups:
            file.load([message_of(group, columns.schema)])
        file.finish()
        file.put_in_place()
    finally:
        file.close()
    assert [path.name for path in folder.iterdir()] == ["x.parquet"]
    return pq.read_table(folder / "x.parquet").column("number").to_pylist(), file.counts


@settings(max_examples=examples(100))
@given(st.sampled_from(sorted(KEYS)), st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0, 0.2]))
def test_of_rows_with_one_key_the_last_is_kept_for_keys_of_any_type(
    name: str, seed: int, count: int, nulls: float
) -> None:
    chance = random.Random(seed)
    kind, values = KEYS[name]
    keys = [None if chance.random() < nulls else chance.choice(values) for _ in range(count)]
    last: dict[Any, int] = {}
    for number, key in enumerate(keys):
        last[("null", number) if key is None else tuple(key) if isinstance(key, list) else key] = number
    rows = [(0, key, number) for number, key in enumerate(keys)]
    size = chance.randint(1, count)
    groups = [rows[start : start + size] for start in range(0, count, size)]
    with tempfile.TemporaryDirectory() as folder:
        numbers, counts = write(Path(folder), kind, "key", groups)
    assert numbers == sorted(last.values())
    assert counts == {"inserted": len(last), "duplicates": count - len(last)}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 1001])
@pytest.mark.parametrize("name", KEYS)
def test_all_rows_are_kept_where_no_column_is_the_key(name: str, count: int, tmp_path: Path) -> None:
    kind, values = KEYS[name]
    rows = [(0, values[number % len(values)], number) for number in range(count)]
    assert write(tmp_path, kind, None, [rows]) == (
        list(range(count)), {"inserted": count, "duplicates": 0},
    )  # fmt: skip


def test_many_texts_are_told_apart(tmp_path: Path) -> None:
    rows = [(0, f"key {number * 7919 % 50_000}", number) for number in range(60_000)]
    groups = [rows[start : start + 7000] for start in range(0, len(rows), 7000)]
    numbers, counts = write(tmp_path, pa.string(), "key", groups)
    assert numbers == list(range(10_000, 60_000))
    assert counts == {"inserted": 50_000, "duplicates": 10_000}
