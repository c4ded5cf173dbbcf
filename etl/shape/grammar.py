r"""JSON's grammar (RFC 8259) followed through one record of any length, in constant memory.

For records that are too long to be kept: they come in pieces, and what is remembered from one to the next
is which brackets are open, what may come next, and a token that the piece has cut. Runs of members that
are nested no deeper than `_NESTED` are one match each, and so pass at some 50 MB a second; other tokens
are matched one by one.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum, auto

from etl.shape.diagnosis import NotJson
from etl.shape.layout import Container
from etl.shape.patterns import BLANK, SPACE, Buffer, repeated

DEEPEST = 1 << 20
"""How many brackets may be open at once, each of which takes a byte."""

CHECKED_BYTES = 1 << 18
"""How many bytes are checked at a time: decoded, to see that they are UTF-8, they are up to four times as
many."""

_NESTED = 5

_PLAIN = rb'[^"\\\x00-\x1f]*+'
_ESCAPES = repeated(rb'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})' + _PLAIN)
_STRING = rb'"' + _PLAIN + rb'(?:"|' + _ESCAPES + rb'")'
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++|)(?:[eE][+-]?+[0-9]++|)"


def _items(item: bytes, closing: bytes) -> bytes:
    """Return a pattern of any number of items with commas between them, up to the bracket after them."""
    comma = rb"," + SPACE + rb"(?!" + closing + rb")"
    items = repeated(rb"(?>" + item + SPACE + rb"(?:" + comma + rb"|(?=" + closing + rb")))")
    return rb"(?:" + closing + rb"|" + items + closing + rb")"


def _values() -> tuple[bytes, bytes]:
    """Return patterns of a value that is nested a little, and of a member that has one."""
    scalar = _STRING + rb"|" + _NUMBER + rb"|true|false|null"
    value = rb"(?>" + scalar + rb"|\[" + SPACE + rb"\]|\{" + SPACE + rb"\})"
    for _ in range(_NESTED):
        array = rb"\[" + SPACE + _items(value, rb"\]")
        members = rb"\{" + SPACE + _items(_STRING + SPACE + rb":" + SPACE + value, rb"\}")
        value = rb"(?>" + scalar + rb"|" + array + rb"|" + members + rb")"
    return value, _STRING + SPACE + rb":" + SPACE + value


def _run(item: bytes) -> re.Pattern[bytes]:
    """Return a pattern of any number of items with a comma after each."""
    return re.compile(repeated(rb"(?>" + item + SPACE + rb"," + SPACE + rb")"))


_VALUE, _MEMBER = _values()
_RUN_OF_VALUES = _run(_VALUE)
_RUN_OF_MEMBERS = _run(_MEMBER)
_ARRAYS = re.compile(repeated(rb"\[" + SPACE))
_OBJECT = re.compile(rb"\{" + SPACE + _STRING + SPACE + rb":" + SPACE)
_OBJECTS = re.compile(repeated(_OBJECT.pattern))
_CLOSERS = re.compile(repeated(rb"[\]}]" + SPACE))
_BLANK = re.compile(SPACE)
_INSIDE = re.compile(_PLAIN + rb"(?:" + _ESCAPES + rb"|)")
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_SCALAR = re.compile(rb"[0-9A-Za-z+.-]*+")
_WHOLE_NUMBER = re.compile(_NUMBER)
_CUT_NUMBER = re.compile(
    rb"-?+(?:(?:0|[1-9][0-9]*+)(?:\.(?:[0-9]++(?:[eE][+-]?+[0-9]*+)?)?|[eE][+-]?+[0-9]*+)?)?"
)
_DIGITS = re.compile(rb"([0-9])[0-9]+")
_LITERALS = (b"true", b"false", b"null")


class _State(Enum):
    """What may come next."""

    VALUE = auto()
    FIRST_VALUE = auto()
    """Or the end of the array."""
    KEY = auto()
    FIRST_KEY = auto()
    """Or the end of the object."""
    COLON = auto()
    END = auto()
    """Of a value: a comma, or a bracket."""


_EXPECTED = {
    _State.VALUE: "Expecting value",
    _State.FIRST_VALUE: "Expecting value",
    _State.KEY: "Expecting property name enclosed in double quotes",
    _State.FIRST_KEY: "Expecting property name enclosed in double quotes",
    _State.COLON: "Expecting ':' delimiter",
    _State.END: "Expecting ',' delimiter",
}

_AFTER_COMMA = {ord("{"): _State.KEY, ord("["): _State.VALUE}
_CLOSING = {ord("}"): ord("{"), ord("]"): ord("[")}
_OPENING_OF = bytes.maketrans(b"]}", b"[{")
_QUOTE, _COMMA, _COLON = b'",:'


class Grammar:
    """Checks one record, with its key if its container is an object, fed in pieces."""

    def __init__(self, container: Container, offset: int) -> None:
        """Begin with a record that stands at `offset`."""
        self._state = _State.KEY if container is Container.OBJECT else _State.VALUE
        self._open = bytearray()
        """The brackets that are open."""
        self._in_string = False
        self._held = b""
        """What the last piece has cut: a part of an escape, or of a number or literal."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._fed = offset

    def feed(self, data: Buffer) -> None:
        """Go on with `data`.

        Raises:
            NotJson: no record can go on like this.
        """
        for start in range(0, len(data), CHECKED_BYTES):
            self._feed(bytes(data[start : start + CHECKED_BYTES]))

    def close(self) -> None:
        """Check that the record is complete.

        Raises:
            NotJson: it is not.
        """
        if self._in_string or self._open:
            raise NotJson(self._fed, "not closed")
        self._follow(self._held + b" ", self._fed - len(self._held))  # which ends a number
        if self._state is not _State.END:
            raise NotJson(self._fed, _EXPECTED[self._state])

    def _feed(self, piece: bytes) -> None:
        bad = None
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            bad = error.start - pending  # it may have begun in the piece before
        start, self._fed = self._fed, self._fed + len(piece)
        sound = piece if bad is None else piece[: max(0, bad)]
        self._follow(self._held + sound, start - len(self._held))
        if bad is not None:
            raise NotJson(start + bad, "not UTF-8")

    def _follow(self, data: bytes, start: int) -> None:
        """Go on with `data`, which begins with what was held and stands at `start`."""
        self._held = b""
        position = self._string(data, 0, start) if self._in_string else 0
        while True:
            position = _end(_BLANK, data, self._pass_run(data, position))
            if position == len(data):
                return
            state, first = self._state, data[position]
            if state is _State.END:
                position = self._end_values(data, position, start)
            elif state is _State.COLON:
                self._expect(first == _COLON, start + position)
                self._state = _State.VALUE
                position += 1
            elif first == _QUOTE:
                self._in_string = True
                position = self._string(data, position + 1, start)
            elif state in (_State.FIRST_KEY, _State.FIRST_VALUE) and first in _CLOSING:
                self._end_value(first, start + position)
                position += 1
            elif state in (_State.KEY, _State.FIRST_KEY):
                self._expect(False, start + position)
            elif first in _AFTER_COMMA:
                position = self._begin(data, position, start)
            else:
                position = self._scalar(data, position, start)

    def _pass_run(self, data: bytes, position: int) -> int:
        """Pass over all whole items that a comma follows, if this is a place for them."""
        if not self._open or self._in_string:
            return position
        if self._state in (_State.VALUE, _State.FIRST_VALUE) and self._open[-1] == ord("["):
            run, after = _RUN_OF_VALUES, _State.VALUE
        elif self._state in (_State.KEY, _State.FIRST_KEY):
            run, after = _RUN_OF_MEMBERS, _State.KEY
        else:
            return position
        begin = _end(_BLANK, data, position)
        end = _end(run, data, begin)
        if end > begin:
            self._state = after
        return end

    def _begin(self, data: bytes, position: int, start: int) -> int:
        """Pass over opening brackets: of arrays, of objects each the first value of another, or one."""
        if found := _ARRAYS.match(data, position):
            count, state = found[0].count(b"["), _State.FIRST_VALUE
        elif found := _OBJECTS.match(data, position):
            count, state = len(_OBJECT.findall(found[0])), _State.VALUE
        else:
            count, state = 1, _State.FIRST_KEY
        if len(self._open) + count > DEEPEST:
            raise NotJson(start + position, f"more than {DEEPEST:,} brackets are open")
        self._open += data[position : position + 1] * count
        self._state = state
        return found.end() if found else position + 1

    def _end_values(self, data: bytes, position: int, start: int) -> int:
        """Take what follows a value: a comma, or brackets that close what they should."""
        found = _CLOSERS.match(data, position)
        closed = found[0].translate(_OPENING_OF, BLANK) if found else b""
        if found and self._open.endswith(closed[::-1]):
            del self._open[-len(closed) :]
            return found.end()
        self._end_value(data[position], start + position)
        return position + 1

    def _end_value(self, found: int, offset: int) -> None:
        """Take what follows a value: a comma, or the bracket that closes what it is in."""
        inside = self._open[-1] if self._open else None
        if found == _COMMA and inside is not None:
            self._state = _AFTER_COMMA[inside]
            return
        self._expect(inside is not None and _CLOSING.get(found) == inside, offset)
        self._open.pop()
        self._state = _State.END

    def _string(self, data: bytes, position: int, start: int) -> int:
        """Go on in a string; return where it ends, or the data does."""
        end = _end(_INSIDE, data, position)
        if end < len(data) and data[end] == _QUOTE:
            self._in_string = False
            self._state = _State.COLON if self._state in (_State.KEY, _State.FIRST_KEY) else _State.END
            return end + 1
        self._held = data[end:]
        if self._held and not _CUT_ESCAPE.match(self._held):
            reason = "Invalid \\escape" if self._held.startswith(b"\\") else "Invalid control character"
            raise NotJson(start + end, reason)
        return len(data)

    def _scalar(self, data: bytes, position: int, start: int) -> int:
        """Pass over a number or a literal; return where it ends, or the data does."""
        end = _end(_SCALAR, data, position)
        token = data[position:end]
        if end == len(data):
            literal = any(word.startswith(token) for word in _LITERALS)
            if literal or _CUT_NUMBER.fullmatch(token):
                self._held = token if literal else _DIGITS.sub(rb"\1", token)  # as good, and short
                return end
        elif token in _LITERALS or _WHOLE_NUMBER.fullmatch(token):
            self._state = _State.END
            return end
        if number := _WHOLE_NUMBER.match(token):
            raise NotJson(start + position + number.end(), _EXPECTED[_State.END])
        raise NotJson(start + position, _EXPECTED[self._state])

    def _expect(self, there: bool, offset: int) -> None:
        if not there:
            raise NotJson(offset, _EXPECTED[self._state])


def _end(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """Return where a pattern ends that may be empty."""
    found = pattern.match(data, position)
    return position if found is None else found.end()
