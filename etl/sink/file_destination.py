"""What all files that rows go to have in common, whatever their format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from etl.declare.columns import Column
from etl.declare.destination import Destination
from etl.sink.names import is_standard_output
from etl.sink.output_file import partial_path


@dataclass(frozen=True, kw_only=True)
class FileDestination(Destination):
    """A file that is replaced as a whole, or standard output."""

    output: Path | None = None
    """The file; None is a file of the pipeline's name."""
    rows_of: Destination | None = field(default=None, repr=False)
    """The pipeline's own destination, where this one takes its place: it knows the columns of the rows."""
    given: tuple[Column, ...] | None = None
    """The columns of the rows; by default, the record's members."""

    name: ClassVar[str]
    """The format, as it is shown."""
    suffix: ClassVar[str]
    """What names of such files end with."""

    @property
    def declared(self) -> tuple[Any, ...]:
        """As the base class says."""
        given = None if self.given is None else [(c.name, c.kind, c.nullable) for c in self.given]
        return (self.name, given)

    def columns(self, record: type[msgspec.Struct]) -> Sequence[Column]:
        """As the base class says."""
        if self.given is not None:
            return self.given
        return super().columns(record) if self.rows_of is None else self.rows_of.columns(record)

    @property
    def columns_are_known(self) -> bool:
        """As the base class says."""
        return self.rows_of is None or self.rows_of.columns_are_known

    def default_output(self, pipeline: str) -> Path | None:
        """As the base class says."""
        return self.output if self.output is not None else Path(f"{pipeline}{self.suffix}")

    @property
    def shown(self) -> str:
        """As the base class says."""
        return f"{self.file if self.file is not None else 'standard output'} ({self.name})"

    @property
    def is_standard_output(self) -> bool:
        """As the base class says."""
        return self.output is not None and is_standard_output(self.output)

    @property
    def file(self) -> Path | None:
        """The file to be replaced: a link stays, and what it leads to is replaced."""
        if self.output is None or self.is_standard_output:
            return None
        path = os.path.realpath(self.output) if os.path.islink(self.output) else self.output
        return Path(path)

    @property
    def files_beside(self) -> Sequence[Path]:
        """The name that the file has until it is whole."""
        return [] if self.file is None else [partial_path(self.file)]

    @property
    def keeps_what_was_written(self) -> bool:
        """Whether the file is there; what went to standard output is not kept."""
        return self.file is not None and self.file.exists()
