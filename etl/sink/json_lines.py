"""JSON lines: the records themselves, each on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from etl.file_kinds import FileKind
from etl.sink.stream_destination import StreamDestination

_KIND = FileKind("a file of JSON lines", re.compile(rb'(?:\{["}]|\[\S|["0-9tfn-])'))

_BLANKS = b" \t\r\n"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^" \t\r\n]+', re.DOTALL)


class JsonLines(StreamDestination):
    """The bytes of each record as in the feed, but for the white space between its tokens."""

    name = "JSON lines"
    suffix = ".jsonl"
    wants_raw = True
    plain_kind = _KIND

    def text_of(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return the records, each with a newline behind it."""
        lines = [compact(record) for _, _, record in rows]
        return b"\n".join([*lines, b""])


def compact(value: bytes) -> bytes:
    """Return a well-formed JSON value without the white space between its tokens, which stay as spelled."""
    if len(value.translate(None, _BLANKS)) == len(value):
        return value
    try:
        return msgspec.json.format(value, indent=-1)
    except (msgspec.DecodeError, RecursionError):  # lone surrogates, which it takes for malformed; depth
        return b"".join(_TOKEN.findall(value))
