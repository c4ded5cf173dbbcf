"""Records that the parsers cannot hold: nested too deeply for them, or with numbers too long."""

from __future__ import annotations

import re

import pytest

from etl.errors import MalformedFeed
from tests.acceptance.feeds import as_array, as_lines, as_object, deal
from tests.support.documents import WANTED
from tests.support.interleaved import Settings, read

DEEP = b"[" * 15_000 + b"]" * 15_000
PAIRS = [(str(number), deal(WANTED[0])) for number in range(3)]


def with_label(document: bytes, label: bytes, of: int = 1) -> bytes:
    """Put a label into one of the records, and leave the others as they are."""
    parts = document.split(b'"mAXCg5AIg"')
    return b'"mAXCg5AIg"'.join(parts[: of + 1]) + label + b'"mAXCg5AIg"'.join(parts[of + 1 :])


DOCUMENTS = [as_object(PAIRS), as_array(PAIRS), as_lines(PAIRS)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=["object", "array", "lines"])
def test_a_record_that_is_nested_too_deeply_is_a_reject_and_the_others_are_not(document: bytes) -> None:
    found = read(with_label(document, DEEP), Settings(chunk_bytes=500))
    assert [reject.reason for reject in found.rejects] == ["nested too deeply"]
    assert (found.records, len(found.rows)) == (3, 2)


@pytest.mark.parametrize("label", [DEEP[:-1] + b"}", DEEP[1:] + b"]", DEEP[:-1] + b",]", b"1 " + DEEP])
@pytest.mark.parametrize("document", DOCUMENTS, ids=["object", "array", "lines"])
def test_a_record_that_is_nested_too_deeply_is_checked_to_its_end(document: bytes, label: bytes) -> None:
    with pytest.raises(MalformedFeed):
        read(with_label(document, label), Settings(chunk_bytes=500))


def test_a_cut_inside_a_record_that_is_nested_too_deeply_is_taken_back() -> None:
    nested = b"[" + DEEP + b',{"7":{"Proposal":{"Client":"f01000"}},"8":{"Proposal":{"Client":"f01000"}}}]'
    found = read(with_label(DOCUMENTS[0], nested, of=2))
    assert [reject.reason for reject in found.rejects] == ["nested too deeply"]
    assert (found.records, len(found.rows)) == (3, 2)


def test_an_integer_beyond_what_the_interpreter_converts_is_no_text() -> None:
    document = with_label(DOCUMENTS[0], b"9" * 5000)
    found = read(document)
    assert [reject.key for reject in found.rejects] == ["1"]
    assert len(found.rows) == 2


@pytest.mark.parametrize("behind", [b"\n\n", b"\n \n", b"\n\r\n"])
def test_two_records_on_a_line_are_refused_though_a_blank_line_makes_up_for_one(behind: bytes) -> None:
    one = as_lines(PAIRS[:1]).rstrip()
    for document in (one + one + behind, one + behind + one + one, one + behind + one[:-1] + b",\n}" + one):
        with pytest.raises(MalformedFeed):
            read(document)
        with pytest.raises(MalformedFeed):
            read(document.replace(b"f01000", b"f09"))


# Longer than a slab ------------------------------------------------------------------------------------

SMALL = Settings(chunk_bytes=1000, slab_bytes=4096)
LONG = b'[{"a":"' + b"x" * 9000 + b'"},' + b'{"b":[1,-2.5e3,"\xc3\xa9\\n"]},' * 500 + b"null]"


@pytest.mark.parametrize("document", DOCUMENTS, ids=["object", "array", "lines"])
def test_a_record_that_is_too_long_is_a_reject_and_the_others_are_not(document: bytes) -> None:
    for number in range(3):
        found = read(with_label(document, LONG, of=number), SMALL)
        assert (found.records, len(found.rows), len(found.oversize)) == (3, 2, 1)


BAD = [
    b"x", b"01", b"tru", b'"\\q"', b'"\t"', b'"\xff"', b"}", b"[1,]", b'{"a":1,}', b'{"a" 1}', b"1 2",
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("document", DOCUMENTS, ids=["object", "array", "lines"])
def test_a_record_that_is_too_long_is_checked_to_its_end(document: bytes, bad: bytes) -> None:
    for place in (LONG.rindex(b"null"), LONG.index(b'{"b"', 12_000), LONG.index(b'{"b"', 4000)):
        damaged = with_label(document, LONG[:place] + bad + b"," + LONG[place:])
        at = damaged.index(LONG[:place]) + place
        with pytest.raises(MalformedFeed) as caught:
            read(damaged, SMALL)
        found = re.search(r"byte ([0-9,]+)", caught.value.message)
        assert found
        assert at <= int(found[1].replace(",", "")) <= at + len(bad)


@pytest.mark.parametrize("blank", [b" ", b" \n\r\t"])
@pytest.mark.parametrize(
    ("document", "record"), [(DOCUMENTS[0], b'"%d":'), (DOCUMENTS[1], b'{"DealID": %d')]
)
def test_white_space_before_a_record_is_no_part_of_it(document: bytes, record: bytes, blank: bytes) -> None:
    for number in range(3):
        before = record % number
        assert before in document
        found = read(document.replace(before, blank * 10_000 + before), SMALL)
        assert (found.records, len(found.rows), found.oversize) == (3, 3, [])
    with pytest.raises(MalformedFeed):
        read(document[:-1] + b"," + blank * 10_000 + document[-1:], SMALL)
