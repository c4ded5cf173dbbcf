"""The scanner: where records end, by following every string and bracket from a known boundary.

It is some twenty times slower than a search for boundaries (`etl.shape.layout`), and right for every
well-formed document: it serves where no signature matches, where a cut proved wrong, and at the end of the
feed, where the container closes.
"""

from __future__ import annotations

import re

from etl.shape.patterns import STRING, Buffer, some

# One token outside strings: a whole string, a lone quote (a string that goes on past the data), a
# bracket, or a comma.
_TOKEN = re.compile(STRING + rb'|["{}\[\],]', re.DOTALL)
_TEXT = rb"[^\"{}\[\]]*+"


def _flat(*more: bytes) -> bytes:
    """Return a pattern of a run of strings, of what `more` matches, and of any text without brackets."""
    return _TEXT + rb"(?:" + some(rb"(?:" + b"|".join((STRING, *more)) + rb")" + _TEXT) + rb"|)"


# Inside a record: a run of text, strings, commas, and whole objects and arrays in which nothing is nested.
# After it the depth is what it was before, so it is skipped in one match. It need not be the longest such
# run: the scanner goes on with the next token.
_INSIDE = re.compile(_flat(rb"\{" + _flat() + rb"\}", rb"\[" + _flat() + rb"\]"), re.DOTALL)
_STRING_END = re.compile(STRING[1:], re.DOTALL)

_OPENING = b"{["
_CLOSING = b"}]"
_QUOTE = ord('"')
_BACKSLASH = ord("\\")


class Scanner:
    """Follows strings and brackets from the start of a record, through data fed in pieces.

    `separators` holds the offset of every comma between records, and `closed` that of the bracket that
    closes their container; both count from the first byte that was fed.
    """

    def __init__(self) -> None:
        self.separators: list[int] = []
        self.closed: int | None = None
        self._fed = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def end(self) -> int | None:
        """Where the first record ends, if it has."""
        return self.separators[0] if self.separators else self.closed

    def feed(self, data: Buffer) -> None:
        """Go on with `data`; stops for good at the container's closing bracket."""
        position = self._leave_string(data) if self._in_string else 0
        while self.closed is None:
            if self._depth:
                inside = _INSIDE.match(data, position)
                assert inside is not None  # it may be empty
                position = inside.end()
            if (token := _TOKEN.search(data, position)) is None:
                break
            start, position = token.span()
            first = data[start]
            if first == _QUOTE:
                if position - start == 1:
                    self._in_string = True
                    self._note_escape(data, position)
                    break
            elif first in _OPENING:
                self._depth += 1
            elif first in _CLOSING:
                if self._depth == 0:
                    self.closed = self._fed + start
                else:
                    self._depth -= 1
            elif self._depth == 0:
                self.separators.append(self._fed + start)
        self._fed += len(data)

    def _leave_string(self, data: Buffer) -> int:
        """Return where the string that the data starts in ends (the data's end if it goes on)."""
        start = 1 if self._escaped and len(data) else 0
        end = _STRING_END.match(data, start)
        if end is not None:
            self._in_string = self._escaped = False
            return end.end()
        if len(data):
            self._note_escape(data, start)
        return len(data)

    def _note_escape(self, data: Buffer, start: int) -> None:
        """Note whether `data[start:]`, inside a string, ends in the middle of an escape."""
        end = len(data)
        while end > start and data[end - 1] == _BACKSLASH:
            end -= 1
        self._escaped = (len(data) - end) % 2 == 1


class LineScanner(Scanner):
    """The same for JSON lines: every newline separates, nothing closes."""

    def feed(self, data: Buffer) -> None:
        """Go on with `data`."""
        self.separators += [self._fed + found.start() for found in re.finditer(b"\n", data)]
        self._fed += len(data)
