"""CSV (RFC 4180): a header, and the rows as `row` returns them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec

from etl.errors import PipelineFailed
from etl.file_kinds import FileKind
from etl.sink.stream_destination import StreamDestination

_NAME = rb'"(?:[^"\r\n]|"")*"'
_KIND = FileKind("a CSV file with a header in quotes", re.compile(_NAME + rb"(?:," + _NAME + rb")*\r\n"))

_QUOTED_OR_NEWLINE = re.compile(rb'"(?:[^"]|"")*"|\n')


class Csv(StreamDestination):
    """One line a row; null is an empty field, and the empty text `""`."""

    name = "CSV"
    suffix = ".csv"
    plain_kind = _KIND

    def check(self, record: type[msgspec.Struct]) -> None:
        """As the base class says: there must be columns to name."""
        if self.columns_are_known:
            self.columns(record)

    @cached_property
    def _names(self) -> list[str]:
        assert self.record is not None
        return [column.name for column in self.columns(self.record)]

    def header(self) -> bytes:
        """Return the columns' names, all in quotes: so one of our files is known by its first line."""
        quoted = ['"{}"'.format(name.replace('"', '""')) for name in self._names]
        return f"{','.join(quoted)}\r\n".encode()

    def text_of(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return rows without their position."""
        from etl.database.csv_text import csv_of

        width = len(rows[0]) - 1
        if width != len(self._names):
            names = f"{len(self._names)} ({', '.join(self._names)})"
            raise PipelineFailed(f"{self.maker} returns {width} values, not {names}")
        return _with_crlf(csv_of([row[1:] for row in rows]), len(rows))


def _with_crlf(text: bytes, rows: int) -> bytes:
    """Return lines that end with a newline as lines that end as RFC 4180 says; texts stay as they are."""
    if text.count(b"\n") == rows:  # none is in a text
        return text.replace(b"\n", b"\r\n")
    return _QUOTED_OR_NEWLINE.sub(lambda found: b"\r\n" if found[0] == b"\n" else found[0], text)
