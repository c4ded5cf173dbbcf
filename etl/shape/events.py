"""A document as a stream of events, each with the offset of the token that it comes from.

By ijson's parser, made strict: what it would change, or take for JSON though it is none, is settled before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ijson

from etl.errors import MalformedFeed
from etl.shape.diagnosis import NotJson, strictly
from etl.shape.patterns import STRING

_PIECE = re.compile(
    rb"(?P<string>" + STRING + rb")|(?P<cut>\".*+|[0-9A-Za-z+.-]++\Z)"
    rb"|(?P<scalar>[0-9A-Za-z+.-]++)|(?P<blank>[ \t\n\r]++)|.",
    re.DOTALL,
)
"""A token; one that is cut by the data's end may go on."""

_DIGITS = re.compile(rb"([0-9]{15})[0-9]+")


def events_of(parser: Any, events: Any, data: bytes, start: int) -> Iterator[tuple[int, str, Any]]:
    """Send `data`, which stands at `start`, to a parser; yield its events with their tokens' offsets.

    Sent by tokens, the parser never has to read anything twice: it begins anew with a token whose end it
    has not seen, which takes quadratic time for long ones, and names no offsets. What it would change, or
    take for JSON though it is none, is settled before.

    Raises:
        NotJson: not well-formed.
    """
    for found in _PIECE.finditer(data):
        offset = start + found.start()
        try:
            parser.send(_settled(found, offset))
        except ijson.JSONError as error:
            raise NotJson(offset, _reason(error)) from None
        for event, value in events:
            yield offset, event, value
        events.clear()


def refused(events: Iterator[tuple[int, str, Any]]) -> Iterator[tuple[int, str, Any]]:
    """Pass events on, until one that the feed is refused for."""
    with refusing():
        yield from events


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse the feed for what is no JSON.

    Raises:
        MalformedFeed: with the offset.
    """
    try:
        yield
    except NotJson as error:
        raise MalformedFeed(f"not well-formed JSON at byte {error.offset:,}: {error.reason}") from None


def check_deep(value: bytes, offset: int) -> None:
    """Check a value that is nested too deeply for other parsers, at a microsecond a token.

    Raises:
        NotJson: not well-formed; its offset counts from `offset`.
    """
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    for _ in events_of(parser, events, value, offset):
        pass
    try:
        parser.close()
    except ijson.JSONError:
        raise NotJson(offset + len(value), "not closed") from None


def _settled(found: re.Match[bytes], offset: int) -> bytes:
    """Return a token as it is sent to the parser."""
    if found["string"]:
        text: str = strictly(found[0], offset)
        return json.dumps(text.encode(errors="replace").decode()).encode()  # lone surrogates are no text
    # Of a number, only the first digits are of use: no error code is longer.
    if found["cut"]:
        ijson.basic_parse_coro(ijson.sendable_list()).send(b"[" + _DIGITS.sub(rb"\1", found[0]))
        # In its place, a whole token of its kind: is one allowed here?
        return b'""' if found[0].startswith(b'"') else b"0 "
    if found["scalar"]:
        return _DIGITS.sub(rb"\1", found[0]) + b" "  # which ends it
    if found["blank"]:
        return b" "
    return found[0] if found[0] in b"{}[]:," else b"\1"  # such as a form feed


def _reason(error: Exception) -> str:
    """Return the first line of the parser's message, without the excerpt of the feed below it."""
    said = error.args[0]
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    first = text.splitlines()[0].removeprefix("parse error: ").removeprefix("lexical error: ")
    more = ": the document ends before it, and no other one is read" if "trailing" in first else ""
    return f"{first}{more}"
