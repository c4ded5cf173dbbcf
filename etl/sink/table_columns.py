"""A pipeline's columns as SQLAlchemy has them, and the other way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from etl.declare.columns import Column, Kind

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(),
    "integer": sa.BigInteger(),
    "boolean": sa.Boolean(),
    "float": sa.Double(),
}


def table_columns(columns: Sequence[Column], key: Sequence[str] = ()) -> list[sa.Column[Any]]:
    """Return columns of a table, of which some are its primary key."""
    return [
        sa.Column(
            column.name, _TYPES[column.kind], nullable=column.nullable,
            primary_key=column.name in key, autoincrement=False,
        )
        for column in columns
    ]  # fmt: skip


def columns_of_table(staging: sa.Table) -> list[Column]:
    """Return the columns of a staging table but the first, which is the position; other types are text."""
    return [
        Column(column.name, _kind_of(column.type), bool(column.nullable))
        for column in list(staging.columns)[1:]
    ]


def _kind_of(kind: sa.types.TypeEngine[Any]) -> Kind:
    if isinstance(kind, sa.Boolean):
        return "boolean"
    if isinstance(kind, sa.Integer):
        return "integer"
    return "float" if isinstance(kind, sa.Float) else "text"
