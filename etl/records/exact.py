"""A chunk record by record: the slow way, which is always right, and what is made of any one record.

The scanner splits the chunk, each record is decoded by itself, and where the typed decoder refuses,
Python's own JSON parser says whether the record is malformed, with the place, or well-formed and only not
what the pipeline takes. Then it is a reject if it is wanted, or may have been meant to be
(`etl.declare.match`).

Whatever is well-formed may stand where nobody looks: only the members that the record type has need be of a
type, or text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from etl.declare.match import Match, texts
from etl.declare.mistakes import failed, misfit
from etl.declare.pipeline import Pipeline, Selection
from etl.errors import one_line
from etl.records.found import RAW_BYTES, Malformed, Parsed, Reject
from etl.records.respelling import marked, without_overridden
from etl.shape.diagnosis import NotJson, refuse_member, strictly
from etl.shape.layout import Container, Layout
from etl.shape.patterns import BLANK, SPACE, STRING, Buffer
from etl.shape.scanner import Scanner

_KEY = re.compile(SPACE + rb"(" + STRING + rb")" + SPACE + rb":", re.DOTALL)

_SURROGATE = re.compile("[\ud800-\udfff]")

_VALUE = re.compile(r"\A(Invalid (?:enum )?value) .*?(?= - at `|\Z)", re.DOTALL)
"""What the typed decoder says of a value that is none of those that may be; it names it."""

NO_TEXT = "a lone surrogate, which is no text"


class RecordParser:
    """Takes the records of one feed one by one, for one selection.

    `base` is added to offsets in the feed where they order the rows of several feeds. With `refuse_nul`, a
    record with a NUL in its texts, which not every database can hold, is a reject. With `raw`, a row is the
    record's key and bytes, and the pipeline makes none.
    """

    def __init__(
        self, pipeline: Pipeline, selection: Selection, refuse_nul: bool, raw: bool = False
    ) -> None:
        self._raw = raw
        self._pipeline = pipeline
        self._selection = selection
        self._wanted = selection.wanted
        self._refuse_nul = refuse_nul
        self._decode = msgspec.json.Decoder(pipeline.record).decode
        self._match = Match(pipeline.record, pipeline.match)

    def open(self, layout: Layout, base: int) -> None:
        """Go on with another feed, or with more known of this one's layout."""
        self._container = layout.container
        self._base = base

    def parse(
        self, chunk: bytes, offset: int, salvage: bool, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        """Return what a chunk holds; a record of which `attempt` says no, by its number, is a reject.

        A record that is malformed is one if `salvage`, else that is what the chunk is.
        """
        parsed = Parsed()
        for number, (start, stop) in enumerate(self._split(chunk)):
            data = chunk[start:stop]
            if attempt is not None and not attempt(number):
                parsed.records += 1
                self._reject(None, data, offset + start, "its worker process was killed by it", parsed)
                continue
            try:
                self._take_exactly(data, offset + start, parsed)
            except NotJson as error:
                if not salvage:
                    parsed.malformed = Malformed(error.offset, error.reason)
                    return parsed
                parsed.records += 1
                reason = f"malformed at byte {error.offset:,}: {error.reason}"
                self._reject(None, data, offset + start, reason, parsed)
        return parsed

    def _split(self, chunk: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each record of a chunk starts and stops."""
        if self._container is Container.LINES:
            start = 0
            for line in chunk.split(b"\n"):
                if line.strip(BLANK):
                    yield start, start + len(line)
                start += len(line) + 1
            return
        scanner = Scanner()
        scanner.feed(chunk)
        separators = scanner.separators
        yield from zip([0, *(s + 1 for s in separators)], [*separators, len(chunk)], strict=True)

    def _take_exactly(self, data: bytes, offset: int, parsed: Parsed) -> None:
        key, begin = None, 0
        if self._container is Container.OBJECT:
            match = _KEY.match(data)
            if match is None:
                refuse_member(data, offset)
            key = strictly(match[1], offset + match.start(1))
            begin = match.end()
        try:
            self.take(key, data[begin:], data, offset, parsed)
        except NotJson as error:
            raise NotJson(offset + begin + error.offset, error.reason) from None
        except RecursionError:
            from etl.shape.events import check_deep  # which few runs need

            check_deep(data[begin:], offset + begin)
            parsed.records += 1
            self._reject(key, data, offset, "nested too deeply", parsed)

    def take(self, key: str | None, value: bytes, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Decode one record exactly, and keep or reject it if it is wanted.

        `value` is the record, `data` the same with its key, at `offset` in the document.

        Raises:
            NotJson: `value` is not one well-formed JSON value.
            RecursionError: it is nested too deeply to tell.
        """
        try:
            record = self._decode(value)
            check_encoding(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._judge(key, value, data, offset, parsed)
            return
        self._keep(key, value, record, data, offset, parsed)

    def _keep(
        self, key: str | None, value: bytes, record: Any, data: Buffer, offset: int, parsed: Parsed
    ) -> None:
        """Count a decoded record, and take its row if it is wanted."""
        parsed.records += 1
        try:
            if self._wanted is not None and self._match.get(record) not in self._wanted:
                return
        except (AttributeError, TypeError) as error:
            raise failed(self._pipeline, "match", error) from None
        row: Any
        try:
            row = (
                (key, value.strip(BLANK)) if self._raw else self._pipeline.row(key, record, self._selection)
            )
        except ValueError as error:
            self._reject(key, data, offset, one_line(str(error)), parsed)
            return
        except Exception as error:
            raise failed(self._pipeline, "row", error) from None
        if not isinstance(row, tuple | list):
            raise misfit(self._pipeline, f"returns a value of the type {type(row).__name__}, not a tuple")
        # A NUL has but one spelling, and few records have it anywhere.
        if self._refuse_nul and b"\\u0000" in bytes(data) and any(map(_has_nul, row)):
            self._reject(key, data, offset, "a NUL, which PostgreSQL's text cannot hold", parsed)
            return
        if key is not None and not _is_text(key) and not all(map(_is_text, row)):
            self._reject(key, data, offset, NO_TEXT, parsed)
            return
        parsed.rows.append((self._base + offset, *row))

    def _judge(self, key: str | None, value: bytes, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Take a record that the typed decoder refused: malformed, unwanted, a reject, or sound."""
        generic = strictly(value, 0)
        if self._wanted is not None and not self._match.may_be_wanted(generic, self._wanted):
            parsed.records += 1
            return
        try:
            record = self._decode_anew(value)
        except msgspec.DecodeError as error:
            parsed.records += 1
            self._reject(key, data, offset, _VALUE.sub(r"\1", str(error)), parsed)
        else:
            self._keep(key, value, record, data, offset, parsed)

    def _decode_anew(self, value: bytes) -> Any:
        """Decode a well-formed record where all that its type has is as it should be.

        Raises:
            msgspec.DecodeError: it is not.
        """
        value, mark = marked(value)
        try:
            record = self._decode(value)
        except msgspec.DecodeError as error:
            # The decoder stops at the first member that is wrong, though a later one may override it.
            try:
                record = self._decode(without_overridden(value))
            except msgspec.DecodeError:
                raise error from None
        if mark is not None and any(mark in text for text in texts(record)):
            raise msgspec.DecodeError(NO_TEXT)
        return record

    def _reject(self, key: str | None, data: Buffer, offset: int, reason: str, parsed: Parsed) -> None:
        if key is not None:  # a lone surrogate is no text, and a NUL not everywhere
            key = key[:RAW_BYTES].encode(errors="backslashreplace").decode().replace("\0", "\\x00")
        parsed.rejects.append(Reject(offset, key, reason, bytes(data[:RAW_BYTES])))


def _is_text(value: object) -> bool:
    """Say whether a value has no lone surrogate."""
    return not isinstance(value, str) or value.isascii() or not _SURROGATE.search(value)


def _has_nul(value: object) -> bool:
    return isinstance(value, str) and "\0" in value


def check_encoding(data: bytes) -> None:
    """Raise UnicodeDecodeError if not UTF-8: the typed decoder does not look at what it skips."""
    if not data.isascii():
        data.decode()
