"""Rows into a Parquet file, which is under its name only once it is whole.

Until then it has no name at all where the system knows such files (Linux, O_TMPFILE), so that nothing is
left of a run that is killed; elsewhere it has another one, `.deals.parquet.partial`, and the next run
overwrites it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import parquet
from pyroaring import BitMap64

from etl.declare.pipeline import Columns
from etl.errors import DatabaseError
from etl.records.found import Rows
from etl.sink.keys import keys_of
from etl.sink.packing import batch_of
from etl.sink.tables import Loader

GROUP_ROWS = 131_072
"""Rows in a row group: enough to skip by its statistics, and some 30 MB in memory."""

COMPRESSION = ("zstd", 1)


class ParquetFile(Loader):
    """A file that takes the place of an older one when it is published."""

    def __init__(self, path: Path, columns: Columns, batch_rows: int | None) -> None:
        """Begin a file that shall be `path`.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self.batch_rows = batch_rows or GROUP_ROWS
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._columns = columns
        self._rows = 0
        self._dropped = BitMap64()
        # Encoding takes as long as decompression: the writer goes on receiving meanwhile.
        self._thread = ThreadPoolExecutor(1)
        self._encoded: Future[None] | None = None
        self._unnamed = False
        with self._refusals():
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

    def load(self, parts: list[Rows]) -> None:
        """Add rows, as a row group."""
        self._wait()
        self._encoded = self._thread.submit(self._append, parts)

    def finish(self) -> None:
        """Write what is left; of records with the same key keep the last one."""
        self._wait()
        with self._refusals():
            self._writer.close()
            with parquet.ParquetFile(self._file) as whole:
                key = self._columns.key
                self._dropped = self._keys.earlier(whole, key) if key is not None else BitMap64()
                if self._dropped:
                    self._drop_earlier(whole)

    def publish(self) -> None:
        """Take the place of the older file, for good."""
        with self._refusals():
            self._file.flush()
            os.fsync(self._file.fileno())
            if self._unnamed:
                self._partial.unlink(missing_ok=True)
                descriptor = self._file.fileno()  # as a directory too, or else links are not followed
                os.link(f"/proc/self/fd/{descriptor}", self._partial, src_dir_fd=descriptor)
            os.replace(self._partial, self._path)
        self._unnamed = True

    def close(self) -> None:
        """Leave nothing behind but what was published."""
        self._thread.shutdown(cancel_futures=True)
        for held in (self._writer, self._file, self._keys):  # nobody needs what is not published
            with suppress(OSError, pa.ArrowException, sqlite3.Error):
                held.close()
        if not self._unnamed:
            self._partial.unlink(missing_ok=True)

    def _begin(self) -> None:
        """Begin an empty file."""
        flags = getattr(os, "O_TMPFILE", None)
        try:
            if flags is None:
                raise OSError(errno.EOPNOTSUPP, "no files without names")
            descriptor = os.open(self._path.parent, flags | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
            self._partial.unlink(missing_ok=True)
            descriptor = os.open(self._partial, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            self._unnamed = False
        else:
            self._unnamed = True
        self._file: IO[bytes] = os.fdopen(descriptor, "w+b")
        codec, level = COMPRESSION
        self._writer = parquet.ParquetWriter(
            self._file, self._columns.schema, compression=codec, compression_level=level,
            use_dictionary=list(self._columns.few),
        )  # fmt: skip

    def _append(self, parts: list[Rows]) -> None:
        schema = self._columns.schema
        batches = [
            pa.ipc.read_record_batch(pa.py_buffer(part), schema)
            if isinstance(part, bytes)
            else batch_of(part, schema)
            for part in parts
        ]
        table = pa.Table.from_batches(batches, schema)
        self._rows += len(table)
        with self._refusals():
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
        with self._file:
            self._begin()
            start = 0
            for group in range(before.num_row_groups):
                table = before.read_row_group(group)
                kept = [number not in self._dropped for number in range(start, start + len(table))]
                self._writer.write_table(table.filter(pa.array(kept)))
                start += len(table)
            self._writer.close()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # Arrow tells the number in its text only
            reason = error.strerror or str(error).rpartition("] ")[2]
            raise DatabaseError(f"{self._path}: {reason}") from None
        except sqlite3.Error as error:  # its own words, without values
            raise DatabaseError(f"{self._path}: the temporary database of its keys: {error}") from None
