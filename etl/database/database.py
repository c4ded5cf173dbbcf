"""A database, whichever it is: all that differs between SQLite and PostgreSQL is asked of this object.

It is made in the parent process from a URL and goes through fork: SQLAlchemy, which takes long to import,
is imported by the methods that need it, in the process that calls them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from etl.file_kinds import FileKind

if TYPE_CHECKING:
    import sqlalchemy as sa

    from etl.database.staging import StagingTable


class Lock(Protocol):
    """What one run of a pipeline has at a time; it ends with the process or transaction that holds it."""

    def attempt(self) -> bool:
        """Take the lock, if it is free; say whether it was."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True)
class Database(ABC):
    """One database. Nothing is opened before it is asked for."""

    url: str = field(repr=False)
    """A SQLAlchemy URL; it may hold a password."""
    schema: str | None = None
    """The schema of our tables, where the database has schemas; None is the first of its search path."""

    holds_nul: ClassVar[bool]
    """Whether a text may hold the character NUL."""
    loads_by: ClassVar[str]
    """How rows go in, as `--explain` shows it."""
    reconnects: ClassVar[bool]
    """Whether a connection that breaks may be opened again: what it had staged is gone then."""
    file_kind: ClassVar[FileKind | None] = None
    """The kind of its file, if it is one."""

    # Before anything is opened ---------------------------------------------------------------------

    @property
    def file(self) -> str | None:
        """The file that it is, as an absolute path through no link; None if it is none."""
        return None

    @property
    def files_beside(self) -> Sequence[str]:
        """Further files that come and go with its file."""
        return ()

    @abstractmethod
    def check(self, *, writes: bool = True, lasting: bool = True) -> None:
        """See that it can serve: be written, if a command `writes`, and outlive it, if `lasting`.

        Raises:
            ConfigurationError: it cannot; the sentence says why.
        """

    # Connections -----------------------------------------------------------------------------------

    @abstractmethod
    def engine(self, read_only: bool = False) -> sa.Engine:
        """Return an engine; one that is `read_only` cannot write.

        Raises:
            ConfigurationError: the URL cannot be used.
            DatabaseError: a relative path, and the working directory is gone.
        """

    def rehearsed(self) -> Database:
        """Return the database that a dry run works on: this one, if a rollback leaves no trace in it."""
        return self

    def missing_file(self) -> str | None:
        """Return its file, as the URL names it, if that is not there (connecting would create it)."""
        return None

    # The lock --------------------------------------------------------------------------------------

    def early_lock(self) -> Lock | None:
        """Take the lock without a connection and without waiting, where that is possible.

        Raises:
            DatabaseError: there is no lock to be had there.
        """
        return None

    @abstractmethod
    def lock(self, connection: sa.Connection, pipeline: str, held: Lock | None = None) -> Lock | None:
        """Return the lock of a pipeline, to be tried; None if it is `held`, or nobody else can have it.

        Raises:
            DatabaseError: the database's file cannot be opened.
        """

    # Rows ------------------------------------------------------------------------------------------

    @abstractmethod
    def pack(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows as this database's staging table takes them; in a worker process."""

    @abstractmethod
    def staging_table(
        self, connection: sa.Connection, like: sa.Table, batch_rows: int | None, maker: str
    ) -> StagingTable:
        """Return a temporary table to load packed rows into, with the columns of `like`.

        `batch_rows` is how many rows to load at a time; None is what is best here. `maker` begins a
        sentence about rows that do not fit.
        """
