"""A Parquet file that is written row group by row group, and keeps the last of rows with one key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from pyroaring import BitMap64

from etl.declare.destination import Staging
from etl.errors import DatabaseError
from etl.sink.arrow import Columns
from etl.sink.keys import keys_of
from etl.sink.output_file import OutputFile

GROUP_ROWS = 131_072
"""Rows in a row group: enough to skip by its statistics, and some 30 MB in memory."""

COMPRESSION = ("zstd", 1)


class ParquetFile(Staging):
    """A file that takes the place of an older one when it is whole."""

    def __init__(self, path: Path, columns: Columns, batch_rows: int | None) -> None:
        """Begin a file that shall be `path`.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self.batch_rows = batch_rows or GROUP_ROWS
        self._path = path
        self._columns = columns
        self._rows = 0
        self._dropped = BitMap64()
        # Encoding takes as long as decompression: the writer goes on receiving meanwhile.
        self._thread = ThreadPoolExecutor(1)
        self._encoded: Future[None] | None = None
        self._output = OutputFile(path)
        with self._refusals_named():
            self._keys = keys_of(
                columns.schema.field(columns.key).type if columns.key is not None else None
            )
        self._begin()

    def count(self) -> int:
        """Return how many rows were written, dropped ones among them."""
        return self._rows

    @property
    def counts(self) -> Mapping[str, int]:
        """All that were not dropped are new."""
        return {"inserted": self._rows - len(self._dropped), "duplicates": len(self._dropped)}

    def load(self, parts: Sequence[bytes]) -> None:
        """Add rows, as a row group; each part is a record batch in Arrow's format between processes."""
        self._wait()
        self._encoded = self._thread.submit(self._append, parts)

    def finish(self) -> None:
        """Write what is left; of records with the same key keep the last one."""
        self._wait()
        with self._refusals_named():
            self._writer.close()
            with parquet.ParquetFile(self._output.file) as whole:
                key = self._columns.key
                self._dropped = self._keys.earlier(whole, key) if key is not None else BitMap64()
                if self._dropped:
                    self._drop_earlier(whole)

    def put_in_place(self) -> None:
        """Take the place of the older file, for good."""
        self._output.put_in_place()

    def close(self) -> None:
        """Leave nothing behind but what was put in place."""
        self._thread.shutdown(cancel_futures=True)
        for held in (self._writer, self._keys):  # nobody needs what is not put in place
            with suppress(OSError, pa.ArrowException, sqlite3.Error):
                held.close()
        self._output.close()

    def _begin(self) -> None:
        codec, level = COMPRESSION
        self._writer = parquet.ParquetWriter(
            self._output.file, self._columns.schema, compression=codec, compression_level=level,
            use_dictionary=list(self._columns.few),
        )  # fmt: skip

    def _append(self, parts: Sequence[bytes]) -> None:
        schema = self._columns.schema
        batches = [pa.ipc.read_record_batch(pa.py_buffer(part), schema) for part in parts]
        table = pa.Table.from_batches(batches, schema)
        self._rows += len(table)
        with self._refusals_named():
            if self._columns.key is not None:
                for batch in batches:
                    self._keys.note(batch.column(self._columns.key))
            self._writer.write_table(table, row_group_size=len(table))

    def _wait(self) -> None:
        if self._encoded is not None:
            self._encoded.result()
            self._encoded = None

    def _drop_earlier(self, before: parquet.ParquetFile) -> None:
        """Write the file again without the rows whose key comes again later."""
        with self._output.begin_again():
            self._begin()
            start = 0
            for group in range(before.num_row_groups):
                table = before.read_row_group(group)
                kept = [number not in self._dropped for number in range(start, start + len(table))]
                self._writer.write_table(table.filter(pa.array(kept)))
                start += len(table)
            self._writer.close()

    @contextmanager
    def _refusals_named(self) -> Iterator[None]:
        try:
            with self._output.refusals_named():
                yield
        except sqlite3.Error as error:  # its own words, without values
            raise DatabaseError(f"{self._path}: the temporary database of its keys: {error}") from None
