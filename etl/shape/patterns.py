"""Regular expressions that pieces of JSON are recognised by, in raw bytes."""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
"""What patterns are matched against."""

BLANK = b" \t\n\r"
"""JSON's white space (RFC 8259, section 2)."""

SPACE = rb"[ \t\n\r]*+"
"""A pattern of any amount of it."""


SOME = 256
"""How many repetitions one atomic group may hold."""


def some(pattern: bytes) -> bytes:
    """Return a pattern of as many in a row as there are, up to `SOME`; none of them is ever given back.

    That is what `(?:...){1,256}+` means. CPython 3.11.0 to 3.11.4 match what they should not where anything
    but a single character is repeated in that way, and later ones may raise SystemError (cpython#100061,
    #106052, #101955); a possessive `[...]*+` is right in all of them, and so is an atomic group.
    """
    return rb"(?>(?:" + pattern + rb"){1,%d})" % SOME


def repeated(pattern: bytes) -> bytes:
    """Return the same of any number of them, at least one.

    The matcher keeps some 100 bytes for each repetition until its atomic group ends: in groups of `SOME`,
    a million repetitions take as little memory as a few thousand.
    """
    return rb"(?>(?:" + some(pattern) + rb")+)"


STRING = rb'"[^"\\]*+(?:"|' + repeated(rb'\\.[^"\\]*+') + rb'")'
"""A pattern of a whole string (with DOTALL); atomic, so that an endless string costs one pass."""
