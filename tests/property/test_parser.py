"""The chunk parser alone, held to the reference at every cut."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.records.chunks import ChunkParser, Thresholds, Tools
from etl.records.counting import VALIDATORS
from etl.records.found import Parsed
from etl.records.search import SEARCHES
from etl.records.wanted import Wanted
from etl.shape.head import learn
from etl.shape.layout import Container, Layout
from etl.shape.scanner import Scanner
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import staging
from tests.support.documents import WANTED, Document, documents
from tests.support.effort import examples
from tests.support.twin.deals import expected

HEAD = 500
SELECTION = Tracked(frozenset(WANTED), HEAD)
ASKED = Wanted(PIPELINE, SELECTION)
NAMES = [column.name for column in staging.columns]
MEMBERS = tuple(field.encode_name for field in msgspec.structs.fields(PIPELINE.record))


def layout_of(data: bytes) -> Layout:
    return learn(data, True, PIPELINE.match[0], PIPELINE.envelope, MEMBERS)


def body_of(data: bytes, layout: Layout) -> bytes:
    """Return the bytes inside the container."""
    if layout.container is Container.LINES:
        return data[layout.start :].rstrip(b" \t\r\n")
    scanner = Scanner()
    scanner.feed(data[layout.start :])
    assert scanner.closed is not None
    return data[layout.start : layout.start + scanner.closed]


def rows_of(parsed: list[Parsed]) -> list[dict[str, Any]]:
    return [dict(zip(NAMES, row, strict=True)) for part in parsed for row in part.rows]


@settings(max_examples=examples(150))
@given(documents(), st.data())
def test_chunks_cut_anywhere_between_records_give_what_the_reference_gives(
    document: Document, data: st.DataObject
) -> None:
    layout = layout_of(document.data)
    body = body_of(document.data, layout)
    if layout.container is Container.LINES:
        separators = [at for at, byte in enumerate(body) if byte == ord("\n")]
    else:
        scanner = Scanner()
        scanner.feed(body)
        separators = scanner.separators
    cuts = sorted(data.draw(st.sets(st.sampled_from(separators), max_size=5))) if separators else []
    dense_bytes = data.draw(
        st.sampled_from([0, 2000, 1 << 20])
    )  # by candidates alone, by what there is, never so
    most_bytes = data.draw(st.sampled_from([0, 1 << 20]))
    piece_bytes = data.draw(st.sampled_from([1, 700, 3000, 1 << 20]))
    parser = ChunkParser(
        ASKED, layout, thresholds=Thresholds(dense_bytes, most_bytes, piece_bytes),
        tools=Tools(data.draw(st.sampled_from(VALIDATORS)), data.draw(st.sampled_from(SEARCHES))),
    )  # fmt: skip
    parsed = [
        parser.parse(body[start:stop], layout.start + start)
        for start, stop in zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(body)], strict=True)
    ]
    assert [part.malformed for part in parsed] == [None] * len(parsed)
    want = expected(document.data, document.shape, set(WANTED), HEAD)
    rows = rows_of(parsed)
    assert sum(part.records for part in parsed) == want.records
    assert len(rows) == want.matched
    assert sum(len(part.rejects) for part in parsed) == want.rejected
    positions = [row.pop("position") for row in rows]
    assert positions == sorted(set(positions))
    assert {row["deal_id"]: row for row in rows} == want.rows


@settings(max_examples=examples(150))
@given(documents(most=12), st.data())
def test_a_chunk_cut_inside_a_record_is_never_accepted(document: Document, data: st.DataObject) -> None:
    layout = layout_of(document.data)
    if layout.container is Container.LINES:
        return
    body = body_of(document.data, layout)
    part = body[: data.draw(st.integers(0, len(body)))]
    piece_bytes = data.draw(st.sampled_from([1, 700, 1 << 20]))
    parser = ChunkParser(ASKED, layout, thresholds=Thresholds(piece_bytes=piece_bytes))
    parsed = parser.parse(part, layout.start)
    assert (parsed.malformed is None) == _is_complete(part, layout)


def _is_complete(part: bytes, layout: Layout) -> bool:
    try:
        return bool(json.loads((layout.container.opening + part + layout.container.closing).decode()))
    except ValueError:
        return False


@given(documents(most=8), st.data())
def test_the_offset_of_a_reject_is_where_its_record_begins(document: Document, data: st.DataObject) -> None:
    layout = layout_of(document.data)
    body = body_of(document.data, layout)
    for reject in ChunkParser(ASKED, layout).parse(body, layout.start).rejects:
        assert document.data[reject.offset :].startswith(reject.raw[:1000])
        assert reject.raw.strip()[:1] in (b'"', b"{", b"[")
