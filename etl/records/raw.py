"""Records as the feed has them, in place of rows: for destinations that write them as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.declare.pipeline import Pipeline, Selection
from etl.records.exact import RecordParser
from etl.records.fast import ChunkParser
from etl.records.found import Parsed
from etl.shape.layout import BLANK, Buffer


class _RawRecords(RecordParser):
    """Keeps of each record its position, its key and its bytes."""

    def take(self, key: str | None, value: bytes, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Decode one record exactly, and keep or reject it if it is wanted."""
        self._value = value.strip(BLANK)
        super().take(key, value, data, offset, parsed)

    def _keep(self, key: str | None, record: Any, data: Buffer, offset: int, parsed: Parsed) -> None:
        parsed.records += 1
        if self._wanted is None or self._match.get(record) in self._wanted:
            parsed.rows.append((self._base + offset, key, self._value))


class RawParser(ChunkParser):
    """Parses every chunk record by record."""

    def __init__(
        self, pipeline: Pipeline, selection: Selection, layout: Any, base: int, *, refuse_nul: bool,
        salvage: bool, pack: Callable[[list[tuple[Any, ...]]], Any] | None,
    ) -> None:  # fmt: skip
        super().__init__(
            pipeline, selection, layout, base, salvage=salvage, refuse_nul=refuse_nul, pack=pack
        )
        self._records = _RawRecords(pipeline, selection, refuse_nul)
        self._records.open(layout, base)

    def parse(self, chunk: Buffer, offset: int, exact: bool = True) -> Parsed:
        """As the base class says."""
        return self._one_by_one(chunk, offset, exact)
