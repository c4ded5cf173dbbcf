"""What is learned from the head of a stream: where the records are.

The records are one container inside a document: the root itself, or a member of a reply (JSON-RPC's
`result`). The head is read, token by token, until the first record shows itself, and so where the container
opens is known.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Protocol

import ijson

from etl.errors import EmptyFeed, MalformedFeed, TruncatedFeed
from etl.shape.document import Envelope
from etl.shape.events import events_of, refused
from etl.shape.layout import Container, Layout, RecordSigns
from etl.shape.misplaced import elsewhere, refuse_several
from etl.source.formats import refuse_others

HEAD_LIMIT = 1 << 20
"""How far into the document the first record must begin, in bytes."""

_DEPTH = 3
"""How deep a record may stand, itself counted; of what is deeper nothing is kept."""

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


class Readable(Protocol):
    """A stream of decompressed bytes."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the stream goes."""


def read_head(stream: Readable, signs: RecordSigns) -> tuple[bytes, Layout]:
    """Return the first bytes of a document, and the layout that they show.

    Raises:
        DataError: as `learn` says.
    """
    head, size = b"", 4096
    while True:
        more = bytearray(size)
        count = stream.readinto(memoryview(more))
        head += more[:count]
        complete = count < size
        try:
            if signs.marker is None:
                return head, learn_by_place(head, complete, signs.envelope, signs.members)
            return head, learn(head, complete, signs.marker, signs.envelope, signs.members)
        except MalformedFeed:
            if complete or len(head) >= HEAD_LIMIT:
                raise
        size = len(head)


def learn(
    head: bytes, complete: bool, marker: str, envelope: tuple[str, ...], members: tuple[str, ...]
) -> Layout:
    """Learn where the records are from the first bytes of a document (all of it if `complete`).

    A record is known by its member `marker`, an object; its container is the root or the root's member
    of one of the names `envelope`, or else the records are JSON lines. `members` are the names by which a
    record usually begins.

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
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, multiple_values=True)
    for offset, event, value in refused(events_of(parser, events, head[begin:], begin)):
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
        announced = event == "map_key" and value == marker
        before = event
    if complete:
        _judge_without_records(head[begin:], begin, empty)
    where = f" (no object with a member “{marker}”)" if seen is None else elsewhere(*seen)
    raise MalformedFeed(f"no record found in the first {len(head):,} bytes{where}")


def learn_by_place(
    head: bytes, complete: bool, envelope: tuple[str, ...], members: tuple[str, ...]
) -> Layout:
    """Learn where the records are where one may be any value, and so is known by its place alone.

    Where a line is a document by itself and another one follows, or the root begins as a record does (with
    one of `members`), the records are JSON lines. Else they are what the root holds; or a member of the
    root of one of the names `envelope`, if it is the first that is an object or array, but for an error.

    Raises:
        EmptyFeed, MalformedFeed, TruncatedFeed, ReplyError: as `learn`.
    """
    begin = len(BOM_UTF8) if head.startswith(BOM_UTF8) else 0
    refuse_others(head)
    document = head[begin:]
    if _is_lines(document):
        return Layout(Container.LINES, (), begin, members)
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events, multiple_values=True)
    root: Container | None = None
    start, depth, key = 0, 0, None
    found: Layout | None = None  # unless it turns out to be empty
    empty = False
    for offset, event, value in refused(events_of(parser, events, document, begin)):
        if found is not None:
            if event not in ("end_map", "end_array"):
                return found
            found, empty = None, True
        if root is None:
            if event not in _OPENING:
                return Layout(Container.LINES, (), begin, members)
            root, start = _OPENING[event], offset + 1
        elif root is Container.ARRAY and depth == 1 and event != "end_array":
            return Layout(root, (), start, members)
        elif depth == 1 and event == "map_key":
            if key is None and value in members:
                return Layout(Container.LINES, (), begin, members)
            key = value
        elif depth == 1 and event in _OPENING and key in envelope:
            found = Layout(_OPENING[event], (str(key),), offset + 1, members)
        elif depth == 1 and event in _OPENING and key != "error":
            return Layout(root, (), start, members)
        depth += (event in _OPENING) - (event in ("end_map", "end_array"))
    if complete:
        _judge_without_records(document, begin, empty or key is None)
    if root is Container.OBJECT and (complete or len(head) >= HEAD_LIMIT):
        return Layout(root, (), start, members)
    raise MalformedFeed(f"no record found in the first {len(head):,} bytes")


def _is_lines(document: bytes) -> bool:
    """Say whether the first line is a document by itself, with another one after it."""
    line, newline, rest = document.lstrip().partition(b"\n")
    if not newline or not rest.strip():
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


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
