"""Rows as the workers pack them, several at a time: as CSV, as Arrow's columns, or as MessagePack."""

from __future__ import annotations

import types
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from etl.messages import Rows
from etl.pipeline import resolve
from etl.plan import Plan

if TYPE_CHECKING:
    import pyarrow


def packer(plan: Plan) -> Callable[[list[tuple[Any, ...]]], Rows] | None:
    """Return what a worker does to rows before it sends them; None where they are to be counted."""
    if plan.limit is not None:
        return None
    if plan.copies:
        return csv_of
    if plan.output is not None:
        assert plan.pipeline.columns is not None
        return partial(arrow_of, schema=resolve(plan.pipeline.columns).schema)
    return msgspec.msgpack.encode


def unpacker(width: int) -> Callable[[Rows], list[tuple[Any, ...]]]:
    """Return what makes rows of so many columns again of those that go in one by one."""
    # Of a length that is known, they are decoded in two thirds of the time.
    row = types.GenericAlias(tuple, (Any,) * width)
    decode = msgspec.msgpack.Decoder(types.GenericAlias(list, (row,))).decode
    return lambda rows: decode(rows) if isinstance(rows, bytes) else rows


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
