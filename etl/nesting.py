"""Well-formedness without recursion: for values that are nested deeper than the parsers go."""

from __future__ import annotations

import re

from etl.framing import BLANK, SPACE

_STRING = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_WHOLE = rb"|".join(
    (_STRING, _NUMBER, b"true", b"false", b"null", rb"\{" + SPACE + rb"\}", rb"\[" + SPACE + rb"\]")
)
_VALUE = re.compile(SPACE + rb"(?:(" + _WHOLE + rb")|([{\[]))")
_KEY = re.compile(SPACE + _STRING + SPACE + rb":")
_BEHIND = re.compile(SPACE + rb"([,}\]])")
_CLOSING = {b"{": b"}", b"[": b"]"}


def fault(value: bytes) -> int | None:
    """Return where bytes stop being one well-formed JSON value (RFC 8259), or None if they do not."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return error.start
    closings: list[bytes] = []
    position = 0
    while True:
        # A value, or the opening of one.
        if closings and closings[-1] == b"}":
            match = _KEY.match(value, position)
            if match is None:
                return _after_blank(value, position)
            position = match.end()
        match = _VALUE.match(value, position)
        if match is None:
            return _after_blank(value, position)
        position = match.end()
        if match[2]:
            closings.append(_CLOSING[match[2]])
            continue
        # What closes behind it, up to the next comma.
        while closings:
            match = _BEHIND.match(value, position)
            if match is None or match[1] not in (b",", closings[-1]):
                return _after_blank(value, position)
            position = match.end()
            if match[1] == b",":
                break
            closings.pop()
        else:
            rest = _after_blank(value, position)
            return None if rest == len(value) else rest


def _after_blank(value: bytes, position: int) -> int:
    return len(value) - len(value[position:].lstrip(BLANK))
