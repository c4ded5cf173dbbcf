"""Which records of a feed are wanted, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from etl.declare.match import Match
from etl.declare.pipeline import Pipeline, Selection
from etl.shape.layout import RecordSigns


def signs_of(pipeline: Pipeline) -> RecordSigns:
    """Return how the first record of a pipeline's feed is recognised."""
    members = tuple(field.encode_name for field in _fields(pipeline.record))
    marker = pipeline.match[0] if len(pipeline.match) > 1 else None
    return RecordSigns(marker, tuple(pipeline.envelope), members)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a feed: all that the path of the data takes from a pipeline and a selection."""

    pipeline: Pipeline
    """Named where its code makes a mistake."""
    selection: Selection
    raw: bool = False
    """A row is the record's key and bytes, as in the feed; else it is what the pipeline's `row` returns."""

    @property
    def record(self) -> Any:
        """The type of a record."""
        return self.pipeline.record

    @property
    def values(self) -> frozenset[str] | None:
        """A record is wanted if the member that is tested has one of these values; None is every record."""
        return self.selection.wanted

    @property
    def row(self) -> Callable[[str | None, Any, Selection], Any]:
        """Return what makes a row of a key and a record; ValueError rejects the record."""
        return self.pipeline.row

    @cached_property
    def match(self) -> Match | None:
        """The member that is tested, if one is."""
        return Match(self.record, self.pipeline.match) if self.pipeline.match else None

    @cached_property
    def signs(self) -> RecordSigns:
        """How the first record is recognised."""
        return signs_of(self.pipeline)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The members that every record must have."""
        return tuple(field.encode_name for field in _fields(self.record) if field.required)


def _fields(record: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the members of a record type; none of a type that is no object."""
    is_object = isinstance(record, type) and issubclass(record, msgspec.Struct)
    return msgspec.structs.fields(record) if is_object else ()
