"""JSON by RFC 8259's grammar, and the very byte at which bytes are not: Python's own parser, made strict.

It is slow and recursive, and serves where the fast parsers have refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from etl.shape.patterns import BLANK, STRING


class NotJson(Exception):
    """Bytes that are no JSON value."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(offset, reason)
        self.offset = offset
        self.reason = reason


class _Constant(Exception):
    """What only Python's parser takes for JSON: NaN and the infinities."""


def _constant(name: str) -> NoReturn:
    raise _Constant(name)


_CONSTANT = re.compile(STRING.decode() + r"|(-?Infinity|NaN)", re.DOTALL)


def _integer(digits: str) -> int:
    """Return an integer; one beyond what the interpreter converts is as good as any beyond 64 bits."""
    return int(digits) if len(digits) < 4000 else 10**4000


_TRAILING_COMMA = {
    "Illegal trailing comma before end of object": "Expecting property name enclosed in double quotes",
    "Illegal trailing comma before end of array": "Expecting value",
}
"""What Python says from 3.13 on, of the comma, in place of what it said before of what follows it."""

_DECODER = json.JSONDecoder(parse_constant=_constant, parse_int=_integer)


def strictly(value: bytes, offset: int) -> Any:
    """Return a JSON value by RFC 8259's grammar; lone surrogates in escapes are within it.

    Raises:
        NotJson: not well-formed; its offset counts from `offset`.
        RecursionError: nested deeper than the interpreter allows (about 1,000 levels or more).
    """
    bad = None
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        text, bad = value.decode(errors="surrogateescape"), error.start

    def refuse(position: int, reason: str) -> NoReturn:
        at = len(text[:position].encode(errors="surrogateescape"))
        if bad is not None and bad <= at:
            raise NotJson(offset + bad, "not UTF-8") from None
        raise NotJson(offset + at, reason) from None

    begin = len(text) - len(text.lstrip(BLANK.decode()))
    try:
        result, end = _DECODER.raw_decode(text, begin)
    except _Constant as error:
        refuse(
            next(found.start(1) for found in _CONSTANT.finditer(text) if found[1]), f"{error} is not JSON"
        )
    except json.JSONDecodeError as error:
        if (reason := _TRAILING_COMMA.get(error.msg)) is not None:
            refuse(len(text) - len(text[error.pos + 1 :].lstrip(BLANK.decode())), reason)
        refuse(error.pos, error.msg)
    rest = text[end:].lstrip(BLANK.decode())
    if rest:
        refuse(len(text) - len(rest), "more than one value")
    if bad is not None:
        refuse(len(text), "")
    return result


def refuse_member(data: bytes, offset: int) -> NoReturn:
    """Say what is wrong with bytes that should be a member of an object and have no key."""
    strictly(b"{" + data + b"}", offset - 1)
    raise NotJson(offset + len(data) - len(data.lstrip(BLANK)), "a record without a key")
