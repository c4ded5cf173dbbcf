"""What a pipeline has to say: the whole interface between mechanism and policy.

A pipeline is found by an entry point of the group `etl.pipelines`, or is named as a file or a module
(`etl.declare.registry`). What it does not say has a default; `record` and a destination it has to name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from etl.declare.destination import Destination
from etl.declare.fingerprint import digest, digest_of
from etl.declare.location import Source


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
    also tells a record from other objects; else it is one by its place. Without a path every record is
    wanted."""
    envelope: tuple[str, ...] = ()
    """Members of the root under which the records may be found (`result` in a JSON-RPC reply)."""
    row: Callable[[str | None, Any, Any], tuple[Any, ...]] = members
    """From the key (None outside objects), the record and the selection, to texts, integers of 64 bits,
    booleans and None; `Reject`, or another ValueError, rejects the record, with the reason."""
    destination: Destination
    """Where the rows go (`etl.sink.destinations` has the functions that make one)."""
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

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what makes its rows: other code, another match, other columns give another one."""
        declared = (self.name, self.version, self.match, self.envelope, self.destination.declared)
        parts = (self.record, self.row, self.select, *self.named_sources.values())
        return digest_of(declared, self.record, parts, self.destination.modules)
