"""Records that the parsers cannot hold: nested too deeply for them, or with numbers too long."""

from __future__ import annotations

import pytest

from etl.errors import MalformedFeed
from tests.acceptance.feeds import as_array, as_lines, as_object, deal
from tests.documents import WANTED
from tests.reading import Settings, read

DEEP = b"[" * 5000 + b"]" * 5000
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
