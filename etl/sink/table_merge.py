"""The merge of rows into one table: by its key, or, without one, as they come."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from etl.database.schema import Schema
from etl.declare.columns import Column
from etl.sink.store import Statement, Store
from etl.sink.table_columns import table_columns

POSITION = "etl_position"
"""The staging table's first column: a record's position in the feed."""


def store_of(name: str, columns: Sequence[Column], key: Sequence[str]) -> Store:
    """Return a table of some columns, and the merge into it."""
    metadata = sa.MetaData()
    table = sa.Table(name, metadata, *table_columns(columns, key))
    position = sa.Column(POSITION, sa.BigInteger, nullable=False)
    staging = sa.Table(f"staging_{name}", sa.MetaData(), position, *table_columns(columns))
    return Store(
        # A table of the same name that another pipeline made has another mark, and is left alone.
        schema=Schema(f"table {name}", metadata, compared=True),
        staging=staging,
        merge=partial(_merge, table, tuple(key)),
    )


def _merge(
    table: sa.Table, key: tuple[str, ...], _run_id: int, _selection: Any, staging: sa.Table
) -> list[Statement]:
    names = [column.name for column in table.columns]
    rows = sa.select(*(staging.c[name] for name in names))
    if not key:
        return [Statement(sa.insert(table).from_select(names, rows), counts="inserted")]
    index = sa.Index(f"{staging.name}_key", *(staging.c[name] for name in key))
    same = [table.c[name] == staging.c[name] for name in key]
    new = rows.where(~sa.exists().where(*same))
    return [
        Statement(sa.schema.CreateIndex(index)),
        Statement(_delete_earlier(staging, key), counts="duplicates"),
        *_update_changed(table, staging, key, same),
        Statement(sa.insert(table).from_select(names, new), counts="inserted"),
    ]


def _delete_earlier(staging: sa.Table, key: tuple[str, ...]) -> sa.Delete:
    """Of rows with one key, keep the last one in the feed.

    By groups, of which few if any are left: to look for a later row of each would take for ever, if a
    million of them have one key.
    """
    grouped = [staging.c[name] for name in key]
    repeated = (
        sa.select(*grouped, sa.func.max(staging.c[POSITION]).label("last"))
        .group_by(*grouped)
        .having(sa.func.count() > 1)
        .subquery("repeated")
    )
    each = staging.alias("each")
    equal = [each.c[name] == repeated.c[name] for name in key]
    earlier = (
        sa.select(each.c[POSITION])
        .join_from(repeated, each, sa.and_(*equal))
        .where(each.c[POSITION] < repeated.c["last"])
    )
    return sa.delete(staging).where(staging.c[POSITION].in_(earlier))


def _update_changed(
    table: sa.Table, staging: sa.Table, key: tuple[str, ...], same: Sequence[sa.ColumnElement[bool]]
) -> list[Statement]:
    """Bring rows up to date that differ from what is staged in any column."""
    rest = [column.name for column in table.columns if column.name not in key]
    if not rest:
        return []
    changed = sa.or_(*(table.c[name].is_distinct_from(staging.c[name]) for name in rest))
    update = sa.update(table).where(*same, changed).values({name: staging.c[name] for name in rest})
    return [Statement(update, counts="updated")]
