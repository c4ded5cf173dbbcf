"""What an author says of tables: how they look, and how staged rows are merged into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.declare.destination import Statement as Statement

if TYPE_CHECKING:
    from sqlalchemy import Select, Table

    from etl.database.schema import Schema


@dataclass(frozen=True)
class Store:
    """The tables of a data set, and the merge into them; only the writer process imports one.

    `Selection` below is the pipeline's own, as its `select` returned it.
    """

    schema: Schema
    staging: Table
    """What a run's own table is made like, whose first column is the record's position in the feed and the
    others are what `row` returns."""
    merge: Callable[[int, Any, Table], Sequence[Statement]]
    """(run id, selection, staging table) to the steps from there to the tables; they count inserted,
    updated and duplicates."""
    sweep: Callable[[int, Any], Sequence[Statement]] = lambda _run_id, _selection: ()
    """(run id, selection) to the steps after them, where the whole feed was seen."""
    overview: Callable[[Any], Select[Any] | None] = lambda _selection: None
    """A small table of what the database holds now, shown after a run."""
