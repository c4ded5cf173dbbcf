"""Where the rows of a pipeline go: one object that answers every question about it.

A destination is declared by the author of a pipeline, bound to a run in the parent process (`for_run`), and
goes through fork. Its one half packs rows, in the worker processes; the other opens what they are staged
in, in the writer process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import msgspec

from etl.declare.columns import Column, columns_of

if TYPE_CHECKING:
    from typing import Self

    import sqlalchemy as sa

    from etl.file_kinds import FileKind

Rows = list[tuple[Any, ...]] | bytes
"""Rows, each (position across feeds, *what `row` returned); or such as a destination has packed."""


@dataclass(frozen=True)
class Statement:
    """One step of the merge, inside its one transaction."""

    executable: sa.Executable
    counts: str | None = None
    """The report's figure that the number of affected rows goes to."""


class Staging(ABC):
    """What rows are loaded into before they are shown; in the writer process.

    Until the transaction of the run is about to be committed, nobody else sees any of it.
    """

    batch_rows: int
    """How many rows are best loaded at a time."""

    can_restore = False
    """Whether rows go with the connection, and can be loaded again on another one (`restore`)."""

    @abstractmethod
    def load(self, parts: Sequence[bytes]) -> None:
        """Add packed rows, in the order of the feed; a database's, in the transaction that is open.

        Raises:
            DatabaseError: the disk refuses.
            PipelineFailed: the rows do not fit.
        """

    def restore(self, kept: IO[bytes]) -> None:
        """Load a file of packed parts, one after the other, from its position on."""
        raise NotImplementedError

    def finish(self) -> None:  # noqa: B027 - some need nothing
        """All rows are loaded: make them fit to be merged, or shown."""

    @abstractmethod
    def count(self) -> int:
        """Return how many rows were loaded, once all are."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Those figures of the report that are known without a merge, once it is finished."""
        return {}

    def steps(self, run_id: int, selection: Any, whole: bool) -> Sequence[Statement]:
        """Return the merge for a run with its `Selection`; `whole` says that all of the feed was seen."""
        return ()

    def overview(self, selection: Any) -> sa.Select[Any] | None:
        """Return the query for a small table of what there is now, shown after a run; None shows none."""
        return None

    def put_in_place(self) -> None:  # noqa: B027 - a commit does it for tables
        """Give what is finished its place, just before the commit.

        Raises:
            DatabaseError: the disk refuses.
        """

    def close(self) -> None:  # noqa: B027 - a rollback does it for tables
        """Remove what was not put in place."""


@dataclass(frozen=True, kw_only=True)
class Destination(ABC):
    """Where rows go. Making one opens and imports nothing that takes long."""

    record: type[msgspec.Struct] | None = field(default=None, repr=False)
    """The record type of the pipeline; set by `for_run`, as are the next two."""
    maker: str = field(default="the pipeline", repr=False)
    """Begins a sentence about rows that do not fit."""
    database: Any = field(default=None, repr=False)
    """The run's database (`etl.database.database.Database`): its ledger is there, and tables are."""

    wants_raw: ClassVar[bool] = False
    """Whether a row is (position, key, the record's bytes as in the feed), and not what `row` returns."""

    @property
    def owner(self) -> str:
        """Whose destination it is, as a message calls it."""
        return self.maker.partition(": ")[0]

    # What is declared ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def declared(self) -> tuple[Any, ...]:
        """JSON values that are equal only where the same would come of the same rows."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules whose code decides what comes of the rows."""
        return ()

    def check(self, record: type[msgspec.Struct]) -> None:  # noqa: B027 - some take any
        """See that rows of a record type can go there.

        Raises:
            ValueError: they cannot; the text says why.
        """

    def columns(self, record: type[msgspec.Struct]) -> Sequence[Column]:
        """Return the columns of the pipeline's rows; by default, its record's members.

        Raises:
            ValueError: there are none that a file could have.
        """
        return columns_of(record)

    @property
    def columns_are_known(self) -> bool:
        """Whether `columns` loads nothing that takes long: then the parent process may ask it."""
        return True

    def default_output(self, pipeline: str) -> Path | None:
        """Return the file that is replaced unless `--output` names one; None where there is none.

        `pipeline` is the name of the pipeline. The path `-` is standard output.
        """
        return None

    # For a run -------------------------------------------------------------------------------------

    def for_run(self, record: type[msgspec.Struct], maker: str, database: Any) -> Self:
        """Return this destination for the rows of a pipeline, in a run with a database."""
        return replace(self, record=record, maker=maker, database=database)

    @property
    @abstractmethod
    def shown(self) -> str:
        """What `--explain` shows of it."""

    @property
    def holds_nul(self) -> bool:
        """Whether a text may hold the character NUL."""
        return True

    @property
    def file(self) -> Path | None:
        """The file that is replaced, if it is one."""
        return None

    @property
    def file_kind(self) -> FileKind | None:
        """The kind of that file."""
        return None

    @property
    def files_beside(self) -> Sequence[Path]:
        """Further files that come and go with it."""
        return ()

    @property
    def is_standard_output(self) -> bool:
        """Whether rows go to standard output, as they come: then nothing else may."""
        return False

    @property
    def keeps_what_was_written(self) -> bool:
        """Whether what an earlier run wrote is there: then a feed that has not changed may be skipped."""
        return True

    def schemas(self) -> Sequence[Any]:
        """Return the tables (`etl.database.schema.Schema`) that have to be there; in the writer process."""
        return ()

    @abstractmethod
    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows, at least one, as they are sent to the writer; in a worker process.

        Raises:
            PipelineFailed: they do not fit; the sentence begins with `maker` and holds no values.
        """

    @abstractmethod
    def open(self, connection: sa.Connection, batch_rows: int | None, dry_run: bool) -> Staging:
        """Return what rows are loaded into; in the writer process.

        `batch_rows` is how many at a time; None is what is best for it. Of a dry run nothing is kept, so
        what could not be taken back must not be written.

        Raises:
            DatabaseError: the database or the disk refuses.
        """
