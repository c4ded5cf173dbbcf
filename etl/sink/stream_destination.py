"""Formats that are written from beginning to end: to a file, or to standard output as rows come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from etl.declare.destination import Staging
from etl.file_kinds import FileKind
from etl.sink.compression import FILE_KINDS, Compressed
from etl.sink.file_destination import FileDestination
from etl.sink.misfits import misfits_named
from etl.sink.names import STANDARD_OUTPUT
from etl.sink.output_file import Nowhere, Output, OutputFile, StandardOutput

if TYPE_CHECKING:
    import sqlalchemy as sa

COUNT_BYTES = 8
"""How many bytes before each packed part tell how many rows it has."""

BATCH_ROWS = 10_000
"""How many rows are written to a file at a time."""


@dataclass(frozen=True, kw_only=True)
class StreamDestination(FileDestination):
    """A file of lines, or standard output; every row is one of its own."""

    compression: str | None = None
    """`gzip` or `zstd`."""

    plain_kind: ClassVar[FileKind]
    """The kind of file, where it is not compressed."""

    @property
    def file_kind(self) -> FileKind:
        """As the base class says."""
        return self.plain_kind if self.compression is None else FILE_KINDS[self.compression]

    @property
    def declared(self) -> tuple[Any, ...]:
        """As the base class says."""
        return (*super().declared, self.compression)

    def default_output(self, pipeline: str) -> Path:
        """Return the file that was named; by default, standard output."""
        return self.output if self.output is not None else Path(STANDARD_OUTPUT)

    @abstractmethod
    def text_of(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows as they are written."""

    def header(self) -> bytes:
        """Return what stands before the rows; in the writer process."""
        return b""

    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return the rows' text, and before it how many they are."""
        with misfits_named(self.maker, rows):
            return len(rows).to_bytes(COUNT_BYTES) + self.text_of(rows)

    def open(self, connection: sa.Connection, batch_rows: int | None, dry_run: bool) -> StreamStaging:
        """As the base class says; what a dry run writes to a file is not put in place."""
        output: Output
        if self.file is not None:
            output = OutputFile(self.file)
        else:
            output = Nowhere() if dry_run else StandardOutput()
            batch_rows = 1  # whoever reads them needs not wait
        if self.compression is not None:
            output = Compressed(output, self.compression)
        return StreamStaging(output, self.header(), batch_rows or BATCH_ROWS)


class StreamStaging(Staging):
    """A stream that rows are added to as text."""

    def __init__(self, output: Output, header: bytes, batch_rows: int) -> None:
        self.batch_rows = batch_rows
        self._output = output
        self._rows = 0
        self._header = header

    def load(self, parts: Sequence[bytes]) -> None:
        """As the base class says."""
        self._begin()
        for part in parts:
            self._rows += int.from_bytes(part[:COUNT_BYTES])
            self._output.write(part[COUNT_BYTES:])

    def _begin(self) -> None:
        if self._header:
            self._output.write(self._header)
            self._header = b""

    def finish(self) -> None:
        """As the base class says."""
        self._begin()

    def count(self) -> int:
        """As the base class says."""
        return self._rows

    @property
    def counts(self) -> Mapping[str, int]:
        """Every row is new."""
        return {"inserted": self._rows}

    def put_in_place(self) -> None:
        """As the base class says."""
        self._output.put_in_place()

    def close(self) -> None:
        """As the base class says."""
        self._output.close()
