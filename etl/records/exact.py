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
from collections.abc import Callable
from typing import Any

import msgspec

from etl.declare.match import texts
from etl.declare.mistakes import failed, misfit
from etl.errors import one_line
from etl.records.containers import Records, check_encoding
from etl.records.found import RAW_BYTES, Malformed, Parsed, Reject
from etl.records.respelling import marked, without_overridden
from etl.records.wanted import Wanted
from etl.shape.diagnosis import NotJson, strictly
from etl.shape.patterns import BLANK, Buffer

_SURROGATE = re.compile("[\ud800-\udfff]")

_VALUE = re.compile(r"\A(Invalid (?:enum )?value) .*?(?= - at `|\Z)", re.DOTALL)
"""What the typed decoder says of a value that is none of those that may be; it names it."""

NO_TEXT = "a lone surrogate, which is no text"


class RecordParser:
    """Takes the records of one feed one by one.

    `base` is added to offsets in the feed where they order the rows of several feeds. With `refuse_nul`, a
    record with a NUL in its texts, which not every database can hold, is a reject.
    """

    def __init__(self, wanted: Wanted, records: Records, base: int, refuse_nul: bool) -> None:
        self._wanted = wanted
        self._records = records
        self._base = base
        self._refuse_nul = refuse_nul
        self._decode = msgspec.json.Decoder(wanted.record).decode

    def parse(
        self, chunk: bytes, offset: int, salvage: bool, attempt: Callable[[int], bool] | None = None
    ) -> Parsed:
        """Return what a chunk holds; a record of which `attempt` says no, by its number, is a reject.

        A record that is malformed is one if `salvage`, else that is what the chunk is.
        """
        parsed = Parsed()
        for number, (start, stop) in enumerate(self._records.split(chunk)):
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

    def _take_exactly(self, data: bytes, offset: int, parsed: Parsed) -> None:
        key, begin = self._records.key(data, offset)
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
            PipelineFailed: the code of the pipeline has a mistake.
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
        if not self._is_wanted(record):
            return
        try:
            row = self._row(key, value, record)
        except ValueError as error:
            self._reject(key, data, offset, one_line(str(error)), parsed)
            return
        # A NUL has but one spelling, and few records have it anywhere.
        if self._refuse_nul and b"\\u0000" in bytes(data) and any(map(_has_nul, row)):
            self._reject(key, data, offset, "a NUL, which PostgreSQL's text cannot hold", parsed)
            return
        if key is not None and not _is_text(key) and not all(map(_is_text, row)):
            self._reject(key, data, offset, NO_TEXT, parsed)
            return
        parsed.rows.append((self._base + offset, *row))

    def _is_wanted(self, record: Any) -> bool:
        wanted = self._wanted
        if wanted.values is None or wanted.match is None:
            return True
        try:
            return wanted.match.get(record) in wanted.values
        except (AttributeError, TypeError) as error:
            raise failed(wanted.pipeline, "match", error) from None

    def _row(self, key: str | None, value: bytes, record: Any) -> tuple[Any, ...] | list[Any]:
        """Return the row of a wanted record, without its position.

        Raises:
            ValueError: it is to be rejected, for this reason.
        """
        wanted = self._wanted
        if wanted.raw:
            return key, value.strip(BLANK)
        try:
            row = wanted.row(key, record, wanted.selection)
        except ValueError:
            raise
        except Exception as error:
            raise failed(wanted.pipeline, "row", error) from None
        if not isinstance(row, tuple | list):
            raise misfit(wanted.pipeline, f"returns a value of the type {type(row).__name__}, not a tuple")
        return row

    def _judge(self, key: str | None, value: bytes, data: Buffer, offset: int, parsed: Parsed) -> None:
        """Take a record that the typed decoder refused: malformed, unwanted, a reject, or sound."""
        generic = strictly(value, 0)
        values, match = self._wanted.values, self._wanted.match
        if values is not None and match is not None and not match.may_be_wanted(generic, values):
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
