"""Rows as Arrow's columns: what a Parquet file is made of."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from etl.declare.columns import Column, Kind


@dataclass(frozen=True)
class Columns:
    """The columns of a Parquet file: what `row` returns."""

    schema: pa.Schema
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


_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "float": pa.float64(),
}


def columns_of(columns: Sequence[Column], key: str | None = None, few: tuple[str, ...] = ()) -> Columns:
    """Return a Parquet file's columns for those of a pipeline's rows."""
    fields = [pa.field(column.name, _TYPES[column.kind], nullable=column.nullable) for column in columns]
    return Columns(pa.schema(fields), key, few)


def plain(columns: Columns) -> list[Column]:
    """Return a Parquet file's columns by what is known of them elsewhere; other types count as text."""

    def kind_of(kind: pa.DataType) -> Kind:
        if pa.types.is_integer(kind):
            return "integer"
        if pa.types.is_boolean(kind):
            return "boolean"
        return "float" if pa.types.is_floating(kind) else "text"

    return [Column(field.name, kind_of(field.type), field.nullable) for field in columns.schema]


def batch_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """Return rows, but their position, as a record batch."""
    _, *columns = zip(*rows, strict=True)
    arrays = [_array_of(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def message_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> bytes:
    """Return rows, but their position, as a record batch in Arrow's format between processes (IPC)."""
    message: bytes = batch_of(rows, schema).serialize().to_pybytes()
    return message


def _array_of(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.int64():
        with suppress(TypeError):  # a null among them
            # Arrow looks at each value's type; this takes a third of the time.
            whole = pa.py_buffer(array("q", column))
            return pa.Array.from_buffers(kind, len(column), [None, whole])
    if kind == pa.bool_():
        with suppress(pa.ArrowInvalid, TypeError):  # numbers among them
            return pa.array(column, kind)
        if {0, 1, None}.issuperset(column):  # 0 and 1 are taken as well
            column = [None if value is None else bool(value) for value in column]
    return pa.array(column, kind)


def misfit(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> str | None:
    """Return which value's type is not its column's, if one is not."""
    for row in rows:
        for value, field in zip(row[1:], schema, strict=True):
            try:
                _array_of([value], field.type)
            except Exception:
                kind = type(value).__name__
                return (
                    f"gives a value of the type {kind} for the column {field.name}, which is {field.type}"
                )
    return None
