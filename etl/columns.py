"""Rows as text in columns, as PostgreSQL's COPY takes them: made by the workers, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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
