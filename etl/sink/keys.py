"""Which rows have a key that comes again later: of records with the same key the last one holds.

Whole numbers are kept in memory, in bitmaps that are small where they lie close together. Keys of any other
type, of any length, go into a temporary SQLite database, which sorts them within a fixed amount of memory.
A row without a key (a null) is the same as no other.
"""

from __future__ import annotations

import array
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet
from pyroaring import BitMap64

_UNSIGNED = (1 << 64) - 1


class Keys(ABC):
    """The keys of rows that come batch by batch."""

    @abstractmethod
    def note(self, batch: pa.Array) -> None:
        """Go on with the keys of more rows."""

    @abstractmethod
    def earlier(self, file: parquet.ParquetFile, column: str) -> BitMap64:
        """Return the numbers of the rows, from 0, whose key comes again later.

        `file` holds all rows, with their keys in `column`.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what is held."""


def keys_of(kind: pa.DataType | None) -> Keys:
    """Return where keys of a type are kept; None is for rows that have none."""
    if kind is None:
        return NoKeys()
    return WholeNumbers() if pa.types.is_integer(kind) else AnyKeys()


class NoKeys(Keys):
    """Rows of which none is the same as another."""

    def note(self, batch: pa.Array) -> None:
        """There is nothing to be noted."""

    def earlier(self, file: parquet.ParquetFile, column: str) -> BitMap64:
        """No row gives way to another."""
        return BitMap64()


class WholeNumbers(Keys):
    """Integers of any width, taken as the 64 bits that they are in two's complement."""

    def __init__(self) -> None:
        self._seen = BitMap64()
        self._repeated = BitMap64()

    def note(self, batch: pa.Array) -> None:
        """Note which keys come again; most often none does, and then the whole batch is added at once."""
        if not pa.types.is_uint64(batch.type):
            batch = batch.cast(pa.int64())
        if batch.null_count:
            batch = batch.drop_null()
        fresh = _set_of(batch)
        again = self._seen & fresh
        if len(fresh) < len(batch):
            counted = compute.value_counts(batch)
            several = counted.field("values").filter(compute.greater(counted.field("counts"), 1))
            again |= _set_of(several)
        self._repeated |= again
        self._seen |= fresh

    def earlier(self, file: parquet.ParquetFile, column: str) -> BitMap64:
        """Find them from the end on."""
        later, earlier = BitMap64(), BitMap64()
        if not self._repeated:
            return earlier
        number = file.metadata.num_rows
        for group in reversed(range(file.num_row_groups)):
            keys = file.read_row_group(group, [column]).column(0).to_pylist()
            for key in reversed(keys):
                number -= 1
                if key is None:
                    continue
                bits = key & _UNSIGNED
                if bits in later:
                    earlier.add(number)
                elif bits in self._repeated:
                    later.add(bits)
        return earlier


def _set_of(keys: pa.Array) -> BitMap64:
    """Return the set of integers of 64 bits, none of them null, by their bits."""
    whole = memoryview(keys.buffers()[1] or b"")[8 * keys.offset : 8 * (keys.offset + len(keys))]
    return BitMap64(array.array("Q", bytes(whole)))


class AnyKeys(Keys):
    """Keys of any type, in a database that goes with its connection."""

    def __init__(self) -> None:
        # One thread at a time, but not always the same.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE keys (key)")  # of no type: values are kept as they are
        self._rows = 0

    def note(self, batch: pa.Array) -> None:
        """Keep the keys of more rows, with the rows' numbers."""
        first, self._rows = self._rows, self._rows + len(batch)
        keys = enumerate(_plain(batch), first)
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO keys (rowid, key) VALUES (?, ?)",
                ((number, key) for number, key in keys if key is not None),
            )

    def earlier(self, file: parquet.ParquetFile, column: str) -> BitMap64:
        """Find them by sorting."""
        query = (
            "SELECT number FROM (SELECT rowid AS number, lead(rowid) OVER (PARTITION BY key ORDER BY rowid)"
            " AS later FROM keys) WHERE later IS NOT NULL"
        )
        with closing(self._database.execute(query)) as found:
            return BitMap64(number for (number,) in found)

    def close(self) -> None:
        """Remove the database."""
        self._database.close()


def _plain(keys: pa.Array) -> list[Any]:
    """Return keys as values that SQLite tells apart as they are: texts, bytes, integers, and None."""
    if isinstance(keys, pa.ExtensionArray):
        keys = keys.storage
    if pa.types.is_dictionary(keys.type):
        keys = keys.dictionary_decode()
    kind = keys.type
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        keys = keys.cast(pa.int32())
    elif any(is_kind(kind) for is_kind in _COUNTS):
        keys = keys.cast(pa.int64())  # nanoseconds are beyond Python's own types
    elif pa.types.is_float16(kind):
        keys = keys.cast(pa.float32())
    values: list[Any] = keys.to_pylist()
    if pa.types.is_integer(keys.type) or any(is_kind(kind) for is_kind in _AS_THEY_ARE):
        return values
    if pa.types.is_floating(kind):  # -0.0 is 0.0, and a NaN like any other
        return [None if value is None else repr(value + 0.0) for value in values]
    # Of one type, values that differ are written differently.
    return [None if value is None else repr(value) for value in values]


_COUNTS = (pa.types.is_date64, pa.types.is_time64, pa.types.is_timestamp, pa.types.is_duration)
_AS_THEY_ARE = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)  # fmt: skip
