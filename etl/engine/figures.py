"""How far a run has come: figures in memory that its processes share.

Each figure has one process that writes it, so there is nothing to lock: aligned 8-byte stores are whole
on every machine that CPython runs on.
"""

from __future__ import annotations

import mmap
from typing import Any

_FIELDS = (
    "source_size",  # the reader: compressed bytes in all, 0 if unknown
    "bytes_read",  # the reader: compressed
    "bytes_decoded",  # the reader
    "records",  # the writer
    "matched",  # the writer
    "rejected",  # the writer
    "run_id",  # the writer
    "peak_memory_bytes",  # the parent
)


class Figures:
    """The figures of one run, as attributes, shared with the processes forked after it was made."""

    source_size: int
    bytes_read: int
    bytes_decoded: int
    records: int
    matched: int
    rejected: int
    run_id: int
    peak_memory_bytes: int

    def __init__(self) -> None:
        object.__setattr__(self, "_cells", memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q"))

    def __getattr__(self, name: str) -> int:
        try:
            cell: int = object.__getattribute__(self, "_cells")[_FIELDS.index(name)]
        except ValueError:
            raise AttributeError(name) from None
        return cell

    def __setattr__(self, name: str, value: Any) -> None:
        object.__getattribute__(self, "_cells")[_FIELDS.index(name)] = value
