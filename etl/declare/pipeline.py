"""What a pipeline has to say: the whole interface between mechanism and policy.

A pipeline is found by an entry point of the group `etl.pipelines`, or is named as a file or a module
(`etl.declare.registry`). What it does not say has a default; `record` and a destination it has to name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from etl.declare.fingerprint import digest, digest_of
from etl.declare.location import Source

if TYPE_CHECKING:
    import pyarrow
    from sqlalchemy import Executable, Select, Table

    from etl.database.schema import Schema


class Reject(ValueError):
    """Raised in `row`: the record cannot be used, for this reason."""


@dataclass(frozen=True)
class Selection:
    """Which records one run wants; a subclass may hold what else `row` and the destination go by."""

    wanted: frozenset[str] | None
    """Values of the member that is tested; None is every record."""

    @property
    def figures(self) -> Mapping[str, int | None]:
        """Values of the pipeline's own figures for the run's report, by name, in 64 bits."""
        return {}

    @property
    def fingerprint(self) -> str:
        """A text that is equal only where the same would be selected from the same feed."""
        return digest(sorted(self.wanted) if self.wanted is not None else None)


@dataclass(frozen=True)
class Statement:
    """One step of the merge, inside its one transaction."""

    executable: Executable
    counts: str | None = None
    """The report's figure that the number of affected rows goes to."""


@dataclass(frozen=True)
class Columns:
    """The columns of a Parquet file: what `row` returns."""

    schema: pyarrow.Schema
    key: str | None = None
    """The column, of any type, by which records are the same; the last of them holds. A row whose key is
    null is the same as no other; where no column is named, none is."""
    few: tuple[str, ...] = ()
    """Columns of texts that recur, which are best written once and referred to."""

    def __post_init__(self) -> None:
        names = self.schema.names
        for name in (self.key, *self.few):
            if name is not None and name not in names:
                raise ValueError(f"there is no column {name}; there are {', '.join(names)}")


@dataclass(frozen=True)
class Store:
    """Where the rows of a data set go; only the writer process imports it."""

    schema: Schema
    staging: Table | Columns
    """What a run's own table is made like, whose first column is the record's position in the feed and the
    others are what `row` returns, to be merged; or a file, to be replaced."""
    merge: Callable[[int, Selection, Table], Sequence[Statement]]
    """The steps from a run's staging table to the tables, for a run id; they count inserted, updated,
    duplicates."""
    sweep: Callable[[int, Selection], Sequence[Statement]]
    """The steps after them, where the whole feed was seen; they count expired."""
    overview: Callable[[Selection], Select[Any] | None]
    """A small table of what the database holds now, shown after a run."""


def members(_key: str | None, record: Any, _selection: Selection) -> tuple[Any, ...]:
    """Return the members of a record in the order of its type: what `row` is unless a pipeline says."""
    return msgspec.structs.astuple(record)


def every_record(_options: Mapping[str, Any]) -> Selection:
    """Return a selection of all records: what `select` is unless a pipeline says."""
    return Selection(wanted=None)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One data set: its records, which of them are wanted, and where they go."""

    name: str = ""
    """By default that of its file, without `.py`, or of its entry point."""
    summary: str = ""
    """One line for the list of pipelines."""
    record: type[msgspec.Struct]
    """The members that are used, typed; all others are ignored."""
    match: tuple[str, ...] = ()
    """The path, in a record, of the member that is tested, a text. Of a path of several steps, the first
    also tells a record from other objects; else the members do that a record must have. Without a path
    every record is wanted."""
    envelope: tuple[str, ...] = ()
    """Members of the root under which the records may be found (`result` in a JSON-RPC reply)."""
    row: Callable[[str | None, Any, Any], tuple[Any, ...]] = members
    """From the key (None outside objects), the record and the selection, to texts, integers of 64 bits,
    booleans and None; `Reject`, or another ValueError, rejects the record, with the reason."""
    store: str
    """Names the `Store`, as `package.module:NAME`: databases are slow to import, and few need them."""
    select: Callable[[Mapping[str, Any]], Selection] = every_record
    """From all the options, the pipeline's own among them, to the selection."""
    options: tuple[Callable[[Any], Any], ...] = ()
    """click decorators of the options that only this data set has."""
    figures: tuple[str, ...] = ()
    """Names of whole numbers that the selection gives: further members of the report and columns of
    `etl_runs`."""
    counts: tuple[str, ...] = ()
    """The same of numbers of rows that only this destination counts (`Statement.counts`); 0 at first."""
    source: str | None = None
    """Where the feed is unless `--source` says; None: it has to."""
    source_variables: tuple[str, ...] = ()
    """Environment variables that name the source, besides ETL_SOURCE."""
    named_sources: Mapping[str, Callable[[Mapping[str, Any]], Source]] = field(default_factory=dict)
    """What `--source` may be besides a URI: from all the options to where that is."""
    stale_after: timedelta | None = None
    """How old a feed may be before there is a warning; None: there is none."""
    database: str | None = None
    """The database unless `--database` says; None is an SQLite file of the pipeline's name."""
    unmatched: Callable[[bytes, Any], str | None] | None = None
    """Where no record of a feed matched: from the feed's first bytes, and the selection, to what to warn
    of, if anything."""
    columns: str | None = None
    """Names the `Columns` in the same way, where rows go to the file that the option `output` names: its
    rows are made into columns by the workers."""
    version: str = ""
    """To be changed when rows change though the package of none of the pipeline's parts does."""

    if not TYPE_CHECKING:

        def __new__(cls, *_args: Any, **fields: Any) -> Pipeline:
            """Refuse fields that there are not, with what was meant.

            Raises:
                TypeError: in a sentence.
            """
            for name in fields.keys() - cls.__dataclass_fields__.keys():
                near = difflib.get_close_matches(name, cls.__dataclass_fields__, n=1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                known = ", ".join(cls.__dataclass_fields__)
                raise TypeError(f"a pipeline has no field {name}{meant}; it has {known}")
            return super().__new__(cls)

    @property
    def database_url(self) -> str:
        """The URL of the database, unless `--database` names another one."""
        return self.database if self.database is not None else f"sqlite:///{self.name}.db"

    @property
    def marker(self) -> str | frozenset[str]:
        """How a record is told from other objects: by one member, an object; or by all of these."""
        if len(self.match) > 1:
            return self.match[0]
        fields = msgspec.structs.fields(self.record)
        needed = frozenset(each.encode_name for each in fields if each.required)
        return needed or frozenset(self.match) or frozenset(each.encode_name for each in fields[:1])

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what makes its rows: other code, another match, other columns give another one."""
        declared = (self.name, self.version, self.match, self.envelope, self.columns)
        parts = (self.record, self.row, self.select, *self.named_sources.values())
        return digest_of(declared, self.record, parts, (self.store, self.columns))
