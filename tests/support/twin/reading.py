"""Which records a document holds, and whether it is one: `json.loads` of the whole, and a loop."""

from __future__ import annotations

import json
from typing import Any, NoReturn

BOM = b"\xef\xbb\xbf"


class NotWellFormed(Exception):
    """The document is not JSON (RFC 8259), or not one of the shapes that are read."""


class _Pairs(list[tuple[str, Any]]):
    """An object's members, the repeated ones too."""


def _refuse(constant: str) -> NoReturn:
    raise NotWellFormed(constant)


def loads(document: bytes) -> Any:
    """Parse strictly; objects come as pairs."""
    try:
        return json.loads(
            document.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_Pairs, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise NotWellFormed(str(error)) from None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 4000 else 10**4000


def records(document: bytes, shape: str) -> list[tuple[str | None, Any]]:
    """Return every record with its key, in order; `shape` says where they are."""
    document = document.removeprefix(BOM)
    if shape == "lines":
        return [(None, _plain(loads(line))) for line in document.split(b"\n") if line.strip(b" \t\r\n")]
    root = loads(document)
    if shape == "rpc":
        members = dict(root) if isinstance(root, _Pairs) else {}
        if members.get("error") is not None:
            raise NotWellFormed("an error reply")
        root = members.get("result")
        if isinstance(root, list) and not isinstance(root, _Pairs):
            shape = "array"
    if shape == "array":
        if not isinstance(root, list) or isinstance(root, _Pairs):
            raise NotWellFormed("no array")
        return [(None, _plain(value)) for value in root]
    if not isinstance(root, _Pairs):
        raise NotWellFormed("no object")
    return [(key, _plain(value)) for key, value in root]


def shape_of(document: bytes, marker: str = "Proposal", envelope: str = "result") -> str:
    """Return where a document's records are, known by the first of them: an object with an object `marker`.

    They are the members of the root or of its member `envelope`, which must then be the only one of its
    name; or else the lines, where the first value that holds one such object is a record itself.
    """
    document = document.removeprefix(BOM)
    try:
        roots = [loads(document)]
    except NotWellFormed as error:
        if document.strip(b" \t\r\n").count(b"\n") == 0:
            raise
        try:
            loads(document.lstrip(b" \t\r\n").split(b"\n")[0])
        except NotWellFormed:
            raise error from None  # no lines either
        roots = [loads(line) for line in document.split(b"\n") if line.strip(b" \t\r\n")]
    for root in roots:
        depth = _first_depth(root, marker, envelope, 0)
        if depth == 0:
            return "lines"
        if depth is None:
            continue
        if len(roots) > 1:
            raise NotWellFormed("more than one document")
        if depth == 1:
            return "object" if isinstance(root, _Pairs) else "array"
        if [key for key, _ in root].count(envelope) > 1:
            raise NotWellFormed("a second container")
        return "rpc"
    raise NotWellFormed("no record")


def _first_depth(value: Any, marker: str, envelope: str, depth: int, name: str | None = None) -> int | None:
    """Return how deep the first object with an object `marker` lies, of those where records may be."""
    if not isinstance(value, list):
        return None
    for key, item in value if isinstance(value, _Pairs) else [(None, item) for item in value]:
        if key == marker and isinstance(item, _Pairs):
            return depth
        if depth == 0 or (depth == 1 and name == envelope):
            found = _first_depth(item, marker, envelope, depth + 1, key)
            if found is not None:
                return found
    return None


def _plain(value: Any) -> Any:
    """Return a value as `json.loads` would: of repeated members, the last."""
    if isinstance(value, _Pairs):
        return {key: _plain(item) for key, item in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def record_at(document: bytes, start: int, lines: bool) -> tuple[int, int, int]:
    """Return where the record begins and ends that begins there, and its depth, by the plainest loop."""
    if lines:
        stop = document.find(b"\n", start)
        stop = len(document) if stop < 0 else stop
        line = document[start:stop]
        return start, stop, max(line.count(b"{"), line.count(b"["))
    depth = deepest = 0
    in_string = escaped = False
    for at in range(start, len(document)):
        byte = document[at : at + 1]
        if in_string:
            in_string = escaped or byte != b'"'
            escaped = not escaped and byte == b"\\"
        elif byte == b'"':
            in_string = True
        elif byte in (b"{", b"["):
            depth += 1
            deepest = max(depth, deepest)
        elif depth == 0 and byte in (b",", b"}", b"]"):
            return start, at, deepest
        elif byte in (b"}", b"]"):
            depth -= 1
    return start, len(document), deepest
