"""Rows as CSV, by Arrow's writer, which is the fastest there is; only what needs it imports this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow
from pyarrow import csv


def csv_of(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return rows as CSV, in which an empty field is null and `""` the empty text."""
    columns = [pyarrow.array(column) for column in zip(*rows, strict=True)]
    batch = pyarrow.record_batch(columns, [str(number) for number in range(len(columns))])
    sink = pyarrow.BufferOutputStream()
    csv.write_csv(batch, sink, csv.WriteOptions(include_header=False))
    text: bytes = sink.getvalue().to_pybytes()
    return text
