"""JSON, the whole of it and nothing else: every case in every place that a feed has for a value."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from etl.errors import MalformedFeed, TruncatedFeed
from pipelines.deals.tables import FEED_COLUMNS
from tests.acceptance.feeds import HEAD, OTHER, OURS, as_array, as_lines, as_object, as_reply, deal
from tests.support.command import Etl
from tests.support.json_cases import AFTER, BEFORE, NO, ONE_SHORT, OPEN, RUNS_ON, YES, Case, Wrong
from tests.support.one_process import read
from tests.support.twin.deals import expected

BOM = b"\xef\xbb\xbf"
MARK = b'"MARK"'


class Place(NamedTuple):
    """A document with a place for a value, the last of an object."""

    document: bytes
    shape: str
    short: Callable[[bytes, int], int]
    """Where the document goes wrong if the bracket after the value closes that."""
    in_record: bool = True
    matches: bool = False

    def put(self, value: bytes) -> tuple[bytes, int]:
        """The document with the value, and where that stands."""
        return self.document.replace(MARK, value), self.document.index(MARK)


def _to_the_end(document: bytes, _start: int) -> int:
    return len(document)


def _to_the_next_record(document: bytes, start: int) -> int:
    return document.index(b'{"DealID"', start)


def _to_the_newline(document: bytes, start: int) -> int:
    return document.index(b"\n", start)


def _records(client: str, other: str) -> list[tuple[str, dict[str, object]]]:
    return [("1", deal(client, more={"X": "MARK"})), ("2", deal(other))]


def _places() -> dict[str, Place]:
    places: dict[str, Place] = {}
    for name, pairs in {"ours": _records(OURS[0], OTHER), "not ours": _records(OTHER, OURS[1])}.items():
        ours = name == "ours"
        places |= {
            f"object, {name}": Place(as_object(pairs), "object", _to_the_end, matches=ours),
            f"array, {name}": Place(as_array(pairs), "array", _to_the_next_record, matches=ours),
            f"lines, {name}": Place(as_lines(pairs), "lines", _to_the_newline, matches=ours),
        }
    plain = as_object([("1", deal()), ("2", deal(OTHER))])
    member = '"Y":{"X":"MARK"}'
    return places | {
        "before the records": Place(as_reply(plain, member + ","), "rpc", _to_the_end, in_record=False),
        "after the records": Place(as_reply(plain, "", "," + member), "rpc", _to_the_end, in_record=False),
    }


PLACES = _places()


def fitting(value: bytes) -> dict[str, Place]:
    """The places for a value: no line of JSON lines has a newline inside."""
    return {name: place for name, place in PLACES.items() if place.shape != "lines" or b"\n" not in value}


def assert_read_as_the_reference_does(document: bytes, shape: str) -> None:
    """Rows, records and rejects are those of `json.loads` and a loop."""
    wanted = expected(document, shape, set(OURS), HEAD)
    found = read(document)
    rows = [dict(zip(("deal_id", *FEED_COLUMNS), row[1:], strict=True)) for row in found.rows]
    assert {row["deal_id"]: row for row in rows} == wanted.rows
    counts = (found.records, len(found.rows), len(found.rejects))
    assert counts == (wanted.records, wanted.matched, wanted.rejected)


def refused_at(document: bytes) -> int:
    """The byte that a refusal names."""
    with pytest.raises((MalformedFeed, TruncatedFeed)) as caught:
        read(document)
    found = re.search(r"byte ([0-9,]+)", caught.value.message)
    assert found, caught.value.message
    assert "\n" not in caught.value.message
    return int(found[1].replace(",", ""))


def goes_wrong(place: Place, document: bytes, start: int, case: Wrong) -> range:
    """The bytes that may be named: from the spoiled token's start to the first that cannot be."""
    if case.at == RUNS_ON:
        run = re.compile(rb'(?:[^"\\\x00-\x1f]|\\.)*', re.DOTALL).match(document, start + len(case.value))
        assert run is not None
        at = run.end() + (document[run.end() : run.end() + 1] == b'"')
    elif case.at == ONE_SHORT:
        at = place.short(document, start)
    else:
        at = start + case.at
    return range(start + case.token, at + 1)


@pytest.mark.parametrize("name", YES)
def test_a_value_that_is_json_is_accepted_wherever_it_stands(name: str) -> None:
    for place in fitting(YES[name]).values():
        document, _ = place.put(YES[name])
        assert_read_as_the_reference_does(document, place.shape)


@pytest.mark.parametrize("name", NO)
def test_a_value_that_is_no_json_is_refused_at_its_first_wrong_byte(name: str) -> None:
    case = NO[name]
    outside = {}
    for where, place in fitting(case.value).items():
        document, start = place.put(case.value)
        right = goes_wrong(place, document, start, case)
        if (found := refused_at(document)) not in right:
            outside[where] = (found - start, right.start - start, right.stop - 1 - start)
    assert outside == {}


@pytest.mark.parametrize("name", OPEN)
def test_what_json_leaves_open_is_read_by_the_rule(name: str) -> None:
    case: Case = OPEN[name]
    for place in fitting(case.value).values():
        document, start = place.put(case.value)
        if case.rule == "deep" and place.in_record:
            found = read(document)
            if sys.version_info >= (3, 12) and not found.rejects:  # it goes some thousands of levels deep
                assert (found.records, len(found.rows)) == (2, 1)
                continue
            (reject,) = found.rejects
            assert reject.reason == "nested too deeply"
            assert reject.offset <= start
            assert (found.records, len(found.rows)) == (2, not place.matches)
        elif case.rule == "deep":
            assert len(read(document).rows) == 1  # the reference is not that deep
        else:
            assert_read_as_the_reference_does(document, place.shape)


WHOLE = {
    "object": as_object(_records(OURS[0], OTHER)),
    "array": as_array(_records(OTHER, OURS[0])),
    "rpc": as_reply(as_object(_records(OURS[0], OTHER))),
}


@pytest.mark.parametrize("shape", WHOLE)
@pytest.mark.parametrize("junk", AFTER, ids=ascii)
def test_nothing_may_follow_a_document(shape: str, junk: bytes) -> None:
    blanks = len(junk) - len(junk.lstrip(b" \t\r\n"))
    assert refused_at(WHOLE[shape] + junk) == len(WHOLE[shape]) + blanks


@pytest.mark.parametrize("shape", WHOLE)
@pytest.mark.parametrize("junk", BEFORE, ids=ascii)
def test_nothing_may_precede_a_document(shape: str, junk: bytes) -> None:
    begin = len(BOM) if junk.startswith(BOM) else 0
    blanks = len(junk[begin:]) - len(junk[begin:].lstrip(b" \t\r\n"))
    assert refused_at(junk + WHOLE[shape]) == begin + blanks


@pytest.mark.parametrize("shape", WHOLE)
@pytest.mark.parametrize("before", [b"", BOM, b" \t\r\n", BOM + b"\n", b"\n" * 5000])
@pytest.mark.parametrize("after", [b"", b"\n", b" \t\r\n", b"\n" * 5000])
def test_white_space_and_a_bom_may_stand_around_a_document(shape: str, before: bytes, after: bytes) -> None:
    assert_read_as_the_reference_does(before + WHOLE[shape] + after, shape)


def test_a_document_without_records_is_read_to_any_depth_and_length_of_numbers() -> None:
    long, deep = b"9" * 5000, b"[" * 9000 + b"]" * 9000
    for document in (b'{"id":%b,"result":{}}' % long, b'{"x":%b,"result":[]}' % deep):
        assert read(document).records == 0


def test_the_cases_are_what_their_names_say() -> None:
    """Python's own parser agrees on every value, as far as it goes."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    for value in YES.values():
        json.loads(value.decode())
    for case in NO.values():
        with pytest.raises((ValueError, RecursionError)):
            json.loads(case.value.decode(), parse_constant=refuse)


@pytest.mark.parametrize(
    "name", ["n_structure_form_feed", "n_string_escape_x", "n_bytes_surrogate", "n_structure_deep_wrong"]
)
@pytest.mark.parametrize("where", ["object, ours", "lines, not ours", "after the records"])
def test_the_command_refuses_at_the_same_byte(name: str, where: str, tmp_path: Path) -> None:
    case, place, command = NO[name], PLACES[where], Etl(tmp_path)
    document, start = place.put(case.value)
    completed = command.load("--source", command.file(document))
    assert completed.status == 65
    found = re.search(r"byte ([0-9,]+)", completed.message)
    assert found
    assert int(found[1].replace(",", "")) in goes_wrong(place, document, start, case)


@pytest.mark.parametrize(
    "name", ["i_number_exponent_20_digits", "i_number_5000_digits", "i_string_low_surrogate"]
)
def test_the_command_reads_numbers_and_surrogates_around_the_records(name: str, tmp_path: Path) -> None:
    command = Etl(tmp_path)
    report = command.loaded(PLACES["before the records"].put(OPEN[name].value)[0])
    assert (report["matched"], report["rejected"]) == (1, 0)
