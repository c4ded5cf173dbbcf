"""Rows as columns, made by the workers, several at a time: as CSV for PostgreSQL's COPY, or as Arrow's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from etl.messages import Rows
from etl.pipeline import resolve
from etl.plan import Plan

if TYPE_CHECKING:
    import pyarrow


def encoder(plan: Plan) -> Callable[[list[tuple[Any, ...]]], Rows]:
    """Return what a worker does to rows before it sends them."""
    if plan.copies:
        return csv_of
    if plan.output is not None and plan.limit is None:  # where there is a limit, they are counted
        assert plan.pipeline.columns is not None
        return partial(arrow_of, schema=resolve(plan.pipeline.columns).schema)
    return list


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
    arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
