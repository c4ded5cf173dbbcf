r"""Well-formed JSON spelled anew, so that the typed decoder takes it where all that is used can be taken.

It refuses two things that JSON allows (RFC 8259), even where it only passes over them: lone surrogates in
escapes, and a member of the wrong type that a later one of the same name overrides.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_PRIVATE = range(0xE000, 0xF900)
"""Characters that mean nothing (Unicode's private use area)."""


def marked(value: bytes) -> tuple[bytes, str | None]:
    """Return a JSON value with a mark in place of each lone surrogate; the mark occurs nowhere else.

    The mark is None where there is no lone surrogate, or where no mark is to be had.
    """
    if not any(found["lone"] for found in _ESCAPE.finditer(value)):
        return value, None
    lower = value.lower()
    free = (code for code in _PRIVATE if chr(code).encode() not in value and b"\\u%04x" % code not in lower)
    if (code := next(free, None)) is None:
        return value, None
    mark = chr(code)

    def replaced(found: re.Match[bytes]) -> bytes:
        return mark.encode() + found["lone"].lower() if found["lone"] else found[0]

    return _ESCAPE.sub(replaced, value), mark


class _Spelled:
    """A piece of JSON, as it is spelled."""

    def __init__(self, text: str) -> None:
        self.text = text


_DECODER = json.JSONDecoder(parse_float=_Spelled, parse_int=_Spelled)


def without_overridden(value: bytes) -> bytes:
    """Return a JSON value with only the last one of members that have the same name; numbers as spelled.

    Raises:
        RecursionError: nested too deeply.
    """
    parts: list[str] = []
    waiting: list[Any] = [_DECODER.decode(value.decode())]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Spelled):
            parts.append(item.text)
        elif isinstance(item, dict | list):
            waiting += reversed(_pieces(item))
        else:
            parts.append(json.dumps(item, ensure_ascii=False))
    return "".join(parts).encode()


def _pieces(item: dict[str, Any] | list[Any]) -> list[Any]:
    """Return what stands in an object or array, and the brackets, commas and names around it."""
    if isinstance(item, dict):
        named = ((json.dumps(name, ensure_ascii=False) + ":", held) for name, held in item.items())
        opening, closing = "{", "}"
    else:
        named = (("", held) for held in item)
        opening, closing = "[", "]"
    pieces: list[Any] = [_Spelled(opening)]
    for number, (name, held) in enumerate(named):
        pieces += [_Spelled(f",{name}" if number else name), held]
    return [*pieces, _Spelled(closing)]
