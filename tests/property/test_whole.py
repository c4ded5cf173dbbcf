"""The whole pipeline, in its processes, held to `json.loads` and a loop."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import DataError
from tests.support.documents import SHAPES, WANTED, Document, build, documents
from tests.support.effort import examples, sample
from tests.support.twin.deals import Expected, expected
from tests.support.twin.reading import NotWellFormed
from tests.support.whole_run import Outcome, run

HEAD = 500


def check(outcome: Outcome, want: Expected) -> None:
    """Compare a run with the reference, and its figures with each other."""
    report = outcome.report
    assert outcome.rows == want.rows
    assert (report.records, report.matched, report.rejected) == (want.records, want.matched, want.rejected)
    assert report.inserted == len(want.rows)
    assert report.matched == report.inserted + report.updated + report.unchanged + report.duplicates
    assert min(report.inserted, report.updated, report.unchanged, report.duplicates) >= 0


@settings(max_examples=examples(20))
@given(documents(), st.integers(1, 2000), st.integers(1, 4), st.integers(1, 5))
def test_any_document_in_any_chunks_by_any_number_of_workers_gives_what_the_reference_gives(
    document: Document, chunk_bytes: int, workers: int, batch_rows: int
) -> None:
    outcome = run(
        document.data, set(WANTED), HEAD, chunk_bytes=chunk_bytes, workers=workers, batch_rows=batch_rows
    )
    check(outcome, expected(document.data, document.shape, set(WANTED), HEAD))


@settings(max_examples=examples(20))
@given(documents(most=6), st.data())
def test_a_damaged_document_fails_or_gives_what_the_reference_gives(
    document: Document, data: st.DataObject
) -> None:
    damaged = bytearray(document.data)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        change = data.draw(st.sampled_from(["cut", "drop", "replace", "insert"]))
        byte = data.draw(st.sampled_from(b'{}[],:"\\ \n0a\xff\x00'))
        if change == "cut":
            del damaged[place + 1 :]
        elif change == "drop":
            del damaged[place]
        elif change == "replace":
            damaged[place] = byte
        else:
            damaged.insert(place, byte)
    try:
        outcome = run(bytes(damaged), set(WANTED), HEAD, chunk_bytes=data.draw(st.integers(1, 3000)))
    except DataError:
        return
    check(outcome, expected(bytes(damaged), document.shape, set(WANTED), HEAD))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_small_feed_gives_the_same_at_every_chunk_size(shape: str) -> None:
    document = build(random.Random(7), shape, 4, 0.9)
    want = expected(document, shape, set(WANTED), HEAD)
    for chunk_bytes in sample([*range(1, 10), *range(10, len(document) + 2, 197)], 6):
        check(run(document, set(WANTED), HEAD, chunk_bytes=chunk_bytes), want)


@pytest.mark.parametrize("shape", SHAPES)
def test_many_wallets_select_as_exactly_as_few(shape: str) -> None:
    document = build(random.Random(11), shape, 60, 0.5)
    wanted = {*WANTED, *(f"f0{number}" for number in range(2, 3000))}
    check(run(document, wanted, HEAD, chunk_bytes=1000, workers=2), expected(document, shape, wanted, HEAD))


@pytest.mark.parametrize("shape", ["object", "array", "rpc"])
def test_no_prefix_of_a_document_that_closes_succeeds(shape: str) -> None:
    document = build(random.Random(3), shape, 2, 0).rstrip()
    for length in sample(range(0, len(document), 293), 4):
        with pytest.raises(NotWellFormed):
            expected(document[:length], shape, set(WANTED), HEAD)
        with pytest.raises(DataError):
            run(document[:length], set(WANTED), HEAD, chunk_bytes=300)
