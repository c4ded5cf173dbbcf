"""Rows as the workers pack them, several at a time: as CSV, as Arrow's columns, or as MessagePack."""

from __future__ import annotations

import re
import types
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from etl.declare.mistakes import misfit
from etl.declare.registry import resolve
from etl.engine.plan import Plan
from etl.errors import PipelineFailed
from etl.records.found import Rows

if TYPE_CHECKING:
    import pyarrow


def packer(plan: Plan) -> Callable[[list[tuple[Any, ...]]], Rows] | None:
    """Return what a worker does to rows before it sends them; None where they are to be counted."""
    if plan.limit is not None:
        return None
    how: Callable[[list[tuple[Any, ...]]], Rows] = msgspec.msgpack.encode
    if plan.copies:
        how = csv_of
    elif plan.output is not None:
        assert plan.pipeline.columns is not None
        how = partial(arrow_of, schema=resolve(plan.pipeline.columns).schema)

    def pack(rows: list[tuple[Any, ...]]) -> Rows:
        try:
            return how(rows)
        except Exception as error:
            raise _misfit(plan, rows, error) from None

    return pack


def _misfit(plan: Plan, rows: Sequence[tuple[Any, ...]], error: Exception) -> PipelineFailed:
    """Return what to say of rows that could not be packed."""
    names = None
    if plan.output is not None and plan.pipeline.columns is not None:
        schema = resolve(plan.pipeline.columns).schema
        names = schema.names
        for row in rows:
            if len(row) - 1 == len(names):
                for value, field in zip(row[1:], schema, strict=True):
                    try:
                        _array_of([value], field.type)
                    except Exception:
                        what = (
                            f"gives a value of the type {type(value).__name__} for the column {field.name},"
                        )
                        return misfit(plan.pipeline, f"{what} which is {field.type}")
    widths = sorted({len(row) - 1 for row in rows})
    if len(widths) > 1 or (names is not None and widths != [len(names)]):
        expected = f", not {len(names)} ({', '.join(names)})" if names is not None else ""
        return misfit(plan.pipeline, f"returns {' or '.join(map(str, widths))} values{expected}")
    kinds = [{type(value).__name__ for value in column} for column in zip(*rows, strict=True)][1:]
    odd = [
        f"value {number} is {' or '.join(sorted(found))}"
        for number, found in enumerate(kinds, 1)
        if not found <= _TYPES or len(found - {"NoneType"}) > 1
    ]
    large = "a number of more than 64 bits" if isinstance(error, OverflowError) else type(error).__name__
    said = "; ".join(odd) or large
    return misfit(plan.pipeline, f"returns values that cannot be written: {said}")


_TYPES = {"str", "int", "bool", "NoneType"}
"""What a row may have."""


def unpacker(
    columns: Sequence[tuple[str, Any]], source: str = "row"
) -> Callable[[Rows], list[tuple[Any, ...]]]:
    """Return what makes rows again of those that go in one by one; `columns` are names and types.

    Raises:
        PipelineFailed: when it is called, that rows are not of these columns; `source` says whose they are.
    """
    # Of a length that is known, they are decoded in two thirds of the time.
    row = types.GenericAlias(tuple, tuple(kind for _, kind in columns))
    kind = types.GenericAlias(list, (row,))
    decode = msgspec.msgpack.Decoder(kind).decode
    names = [name for name, _ in columns]

    def unpacked(rows: Rows) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = (
                decode(rows) if isinstance(rows, bytes) else msgspec.convert(rows, kind)
            )
        except msgspec.ValidationError as error:
            raise PipelineFailed(f"{source} {_told(str(error), names)}") from None
        return found

    return unpacked


def _told(said: str, names: Sequence[str]) -> str:
    """Return what is wrong with a row, for its author, from what the decoder says: it numbers columns."""
    width = re.search(r"of length (\d+)(?:, got (\d+))?", said)
    if width is not None:
        got = f"{int(width[2]) - 1} values" if width[2] else "another number of values"
        return f"returns {got}, not {len(names) - 1} ({', '.join(names[1:])})"
    place = re.search(r"\[(\d+)\]`\Z", said)
    types_of = re.search(r"Expected `([^`]*)`, got `([^`]*)`", said)
    if place is None or types_of is None:
        return "returns values that do not fit the staging table"
    column = f"the column {names[int(place[1])]}, which is {types_of[1]}"
    return f"gives a value of the type {types_of[2]} for {column}"


def csv_of(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return rows as CSV, in which an empty field is null and `""` the empty text."""
    import pyarrow
    from pyarrow import csv

    columns = [pyarrow.array(column) for column in zip(*rows, strict=True)]
    batch = pyarrow.record_batch(columns, [str(number) for number in range(len(columns))])
    sink = pyarrow.BufferOutputStream()
    csv.write_csv(batch, sink, csv.WriteOptions(include_header=False))
    text: bytes = sink.getvalue().to_pybytes()
    return text


def arrow_of(rows: Sequence[tuple[Any, ...]], schema: pyarrow.Schema) -> bytes:
    """Return rows, but their position, as a record batch in Arrow's format between processes (IPC)."""
    message: bytes = batch_of(rows, schema).serialize().to_pybytes()
    return message


def batch_of(rows: Sequence[tuple[Any, ...]], schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """Return rows, but their position, as a record batch."""
    import pyarrow

    _, *columns = zip(*rows, strict=True)
    arrays = [_array_of(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


def _array_of(column: Sequence[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow

    if kind == pyarrow.int64():
        with suppress(TypeError):  # a null among them
            # Arrow looks at each value's type; this takes a third of the time.
            whole = pyarrow.py_buffer(array("q", column))
            return pyarrow.Array.from_buffers(kind, len(column), [None, whole])
    return pyarrow.array(column, kind)
