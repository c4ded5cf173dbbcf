"""The document around the records: found at the head of the stream, checked again at its tail.

The records are one container inside a document: the root itself, or a member of a reply (JSON-RPC's
`result`). `learn` reads the head, byte by byte, until the first record shows itself, and so knows where
the container opens. `Envelope` then parses the document with the records left out: it is fed the head up
to the container's opening bracket and, at the end, the closing bracket and all that follows.
Together with the proof that the records between are well-formed, the whole document is.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ijson

from etl.errors import EmptyFeed, MalformedFeed, ReplyError, TruncatedFeed, one_line
from etl.shape.diagnosis import NotJson, strictly
from etl.shape.layout import STRING, Container, Layout
from etl.shape.misplaced import elsewhere, refuse_several
from etl.source.formats import refuse_others

HEAD_LIMIT = 1 << 20
"""How far into the document the first record must begin, in bytes."""

TAIL_LIMIT = 1 << 20
"""How much may follow the records, from their container's closing bracket on, in bytes."""

_REPLY = frozenset(("jsonrpc", "id", "result", "error"))
"""The members that a JSON-RPC reply may have."""

_DEPTH = 3
"""How deep a record may stand, itself counted; of what is deeper nothing is kept."""

_PIECE = re.compile(
    rb"(?P<string>" + STRING + rb")|(?P<cut>\".*+|[0-9A-Za-z+.-]++\Z)"
    rb"|(?P<scalar>[0-9A-Za-z+.-]++)|(?P<blank>[ \t\n\r]++)|.",
    re.DOTALL,
)
"""A token; one that is cut by the data's end may go on."""

_DIGITS = re.compile(rb"([0-9]{15})[0-9]+")

_OPENING = {"start_map": Container.OBJECT, "start_array": Container.ARRAY}


@dataclass
class _Level:
    """An object or array that is open at some point of the document."""

    container: Container
    name: str | None
    """The member of the parent that it is the value of; None in an array or at the root."""
    start: int
    """The offset after its opening bracket."""
    first: str | None = None
    """Its first member's name."""
    key: str | None = None
    """The latest member's name."""
    names: set[str] = field(default_factory=set)
    """Of the names that tell a record, those of its members so far."""


def learn(
    head: bytes,
    complete: bool,
    marker: str | frozenset[str],
    envelope: tuple[str, ...],
    members: tuple[str, ...],
) -> Layout:
    """Learn where the records are from the first bytes of a document (all of it if `complete`).

    A record is known by its member `marker`, an object, or by all of several members. Its container is the
    root or the root's member of one of the names `envelope`, or else the records are JSON lines. `members`
    are the names by which a record usually begins.

    Raises:
        EmptyFeed: the document is sound and holds no records.
        MalformedFeed: the head is not well-formed, or shows no record.
        TruncatedFeed: the document ends inside.
        ReplyError: the document is a reply that carries an error.
    """
    begin = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
    refuse_others(head)
    levels: list[_Level] = []
    announced = False  # the marker's name was read, its value comes next
    depth, before, empty = 0, "", False
    place: list[str | None] = []  # the latest member of each open object; None in an array
    seen: tuple[list[str | None], int] | None = None
    sought = marker if isinstance(marker, frozenset) else frozenset()
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, multiple_values=True)
    for offset, event, value in _sound(_parse(parser, events, head[begin:], begin)):
        if event in _OPENING:
            if announced and event == "start_map" and depth <= _DEPTH:
                layout = _layout(levels, envelope, members, begin)
                if layout is not None:
                    root = levels[-1].name if not layout.path else None
                    refuse_several(head[begin:], begin, layout.container, root)
                    return layout
            if announced and event == "start_map" and seen is None:
                seen = place[:-2], offset
            place.append(None)
            if depth < _DEPTH:
                name = levels[-1].key if levels else None
                levels.append(_Level(_OPENING[event], name, offset + 1))
            depth += 1
        elif event in ("end_map", "end_array"):
            depth -= 1
            place.pop()
            if depth < _DEPTH:
                level = levels.pop()
                may_hold = depth == 0 or (depth == 1 and level.name in envelope)
                empty = empty or (may_hold and before in _OPENING)
        elif event == "map_key":
            place[-1] = value
            if depth <= _DEPTH:
                levels[-1].key = value
                if levels[-1].first is None:
                    levels[-1].first = value
                if value in sought:
                    levels[-1].names.add(value)
            if value in sought and len(levels) == depth and levels[-1].names == sought:
                # A record's member may look like a record itself, and end before the others are read.
                outermost = levels[:1] if _is_on_a_line(head[begin:], sought) else levels
                layout = _layout(outermost, envelope, members, begin)
                if layout is not None:
                    root = outermost[-1].name if not layout.path else None
                    refuse_several(head[begin:], begin, layout.container, root)
                    return layout
                if seen is None:
                    seen = place[:-1], offset
        announced = event == "map_key" and value == marker
        before = event
    if complete:
        _judge_without_records(head[begin:], begin, empty)
    named = ", ".join(f"“{name}”" for name in ([marker] if isinstance(marker, str) else sorted(marker)))
    missing = f" (no object with {'a member' if isinstance(marker, str) else 'the members'} {named})"
    where = missing if seen is None else elsewhere(*seen)
    raise MalformedFeed(f"no record found in the first {len(head):,} bytes{where}")


def _is_on_a_line(document: bytes, names: frozenset[str]) -> bool:
    """Say whether the first line of a document is an object with all these members."""
    try:
        found = json.loads(document.lstrip().partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and names <= found.keys()


def _judge_without_records(document: bytes, begin: int, empty: bool) -> None:
    """Raise what is wrong with a whole document in which no record was found, if it can be told."""
    if not document.strip():
        raise TruncatedFeed("the feed is empty: not even an empty document")
    around = Envelope()
    around.feed(document, begin)
    around.close()
    if empty:
        raise EmptyFeed("the feed holds no records")


def _layout(
    levels: list[_Level], envelope: tuple[str, ...], members: tuple[str, ...], begin: int
) -> Layout | None:
    """Return the layout if the innermost open object stands where records may stand."""
    record = levels[-1]
    if len(levels) == 1:
        container, start = Container.LINES, begin
        path: tuple[str, ...] = ()
    else:
        parent = levels[-2]
        container, start = parent.container, parent.start
        path = tuple(level.name for level in levels[1:-1] if level.name is not None)
        if path not in ((), *((name,) for name in envelope)) or len(path) != len(levels) - 2:
            return None
    names = dict.fromkeys((*members, *([record.first] if record.first is not None else [])))
    return Layout(container, path, start, tuple(names))


def _parse(parser: Any, events: Any, data: bytes, start: int) -> Iterator[tuple[int, str, Any]]:
    """Send `data`, which stands at `start`, to a parser; yield its events with their tokens' offsets.

    Sent by tokens, the parser never has to look at anything twice: it begins anew with a token whose end it
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


def _sound(events: Iterator[tuple[int, str, Any]]) -> Iterator[tuple[int, str, Any]]:
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
    for _ in _parse(parser, events, value, offset):
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
        return b'""' if found[0].startswith(b'"') else b"0 "  # is this the place for any such token?
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


class Envelope:
    """The document with its records left out, parsed as it passes by.

    `path` is that of the records' container: there must be no second member of that name, which would
    override the first (RFC 8259, section 4).
    """

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        self._path = path
        self._seen: set[str] = set()
        self._events = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._depth = 0
        self._member: str | None = None
        self._names: set[str] = set()
        """Of the root's members; of the names that no reply has, one will do."""
        self._error: list[tuple[str, Any]] = []
        self._end = 0

    def feed(self, data: bytes, offset: int) -> None:
        """Go on with `data`, which stands at `offset` in the document.

        Raises:
            MalformedFeed: not well-formed, with the offset.
        """
        for at, event, value in _sound(_parse(self._parser, self._events, data, offset)):
            self._note(at, event, value)
        self._end = offset + len(data)

    def close(self) -> None:
        """Check that the document is complete and is no error reply.

        Raises:
            TruncatedFeed: the document is not closed.
            ReplyError: it is a reply, and its member `error` is set (JSON-RPC 2.0, section 5.1).
        """
        try:
            self._parser.close()
        except ijson.JSONError:
            raise TruncatedFeed(
                f"truncated: the document is not closed at byte {self._end:,}, where the feed ends"
            ) from None
        if self._is_reply() and self._error and self._error[0] != ("null", None):
            raise ReplyError(f"the reply is an error: {self._error_text()}")

    def _is_reply(self) -> bool:
        """Say whether this is what a JSON-RPC server answers, and not a document with a member `error`.

        Since 2.0 each reply has `jsonrpc` (section 5), as Lotus's do; before, `result`, `error` and `id`
        (JSON-RPC 1.0, section 1.2), of which servers leave out a `result` that is null.
        """
        return "jsonrpc" in self._names or "result" in self._names or self._names == {"error", "id"}

    def _note(self, offset: int, event: str, value: Any) -> None:
        """Keep the events of the root's member `error`; of several, the last one's."""
        if event.startswith("end_"):
            self._depth -= 1
        if self._depth == 1 and event == "map_key":
            if value in self._path:
                if value in self._seen:
                    raise MalformedFeed(f"the member “{value}” a second time, at byte {offset:,}")
                self._seen.add(value)
            self._member = value
            self._names.add(value if value in _REPLY else "")
            self._error = [] if value == "error" else self._error
        elif self._member == "error" and self._depth >= 1 and len(self._error) < 100:
            self._error.append((event, value))
        if event.startswith("start_"):
            self._depth += 1

    def _error_text(self) -> str:
        """Return the error's code and message, as far as it follows the specification."""
        names = [value for event, value in self._error if event == "map_key"]
        values = [value for event, value in self._error if event in ("string", "number")]
        if len(names) == len(values):
            found = dict(zip(names, values, strict=True))
            if "message" in found:
                return f"{one_line(str(found['message']))} (code {found.get('code')})"
        return json.dumps([str(value) for value in values])[:200]
