"""The document around the records, parsed with the records left out.

It is fed the head, up to the container's opening bracket, and at the end the closing bracket and all that
follows. Together with the proof that the records between are well-formed, the whole document is.
"""

from __future__ import annotations

import json
from typing import Any

import ijson

from etl.errors import MalformedFeed, ReplyError, TruncatedFeed, one_line
from etl.shape.events import events_of, refused

TAIL_LIMIT = 1 << 20
"""How much may follow the records, from their container's closing bracket on, in bytes."""

_REPLY = frozenset(("jsonrpc", "id", "result", "error"))
"""The members that a JSON-RPC reply may have."""


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
        for at, event, value in refused(events_of(self._parser, self._events, data, offset)):
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
