"""Where the records are if one may be any value: they are known by their place."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from etl.declare.pipeline import Selection
from etl.engine.scan import scan
from etl.errors import EmptyFeed, EtlError, MalformedFeed, ReplyError, TruncatedFeed
from etl.records.wanted import Wanted
from etl.shape.layout import RecordSigns
from pipelines.deals.pipeline import PIPELINE
from tests.support.one_process import feed_of


class Point(msgspec.Struct):
    """A record with members that are known."""

    x: int
    y: list[int] = []


def row(key: str | None, record: Any, _: Selection) -> tuple[Any, ...]:
    return key, record


def read(document: bytes, record: Any = Any, **settings: Any) -> list[tuple[Any, ...]]:
    """The keys and records of a document."""
    pipeline = dataclasses.replace(PIPELINE, match=(), record=record, row=row)
    batches = scan(feed_of(document), Wanted(pipeline, Selection(None)), **settings)
    return [
        line[1:] for batch in batches for part in batch.parts for line in part if isinstance(line, tuple)
    ]


def test_without_a_member_that_is_tested_no_name_marks_a_record() -> None:
    pipeline = dataclasses.replace(PIPELINE, match=(), record=Point)
    assert Wanted(pipeline, Selection(None)).signs == RecordSigns(None, ("result",), ("x", "y"))


@pytest.mark.parametrize("chunk_bytes", [1, 10, 1000])
@pytest.mark.parametrize(
    ("document", "found"),
    [
        (
            b'[1,"a",null,{"b":[]},[2]]',
            [(None, 1), (None, "a"), (None, None), (None, {"b": []}), (None, [2])],
        ),
        (b'{"a":1,"b":{"c":2}}', [("a", 1), ("b", {"c": 2})]),
        (b'{"a":{"c":2},"result":[1]}', [("a", {"c": 2}), ("result", [1])]),
        (b'{"a":1,"b":2}', [("a", 1), ("b", 2)]),
        (b'{"jsonrpc":"2.0","id":1,"result":[1,2]}', [(None, 1), (None, 2)]),
        (b'{"error":null,"result":{"k":1}}', [("k", 1)]),
        (b'{"a":{"b":1}}\n{"a":2}\n', [(None, {"a": {"b": 1}}), (None, {"a": 2})]),
        (b"[1]\n[2]", [(None, [1]), (None, [2])]),
        (b'1\n"a"\n\n2', [(None, 1), (None, "a"), (None, 2)]),
        (b'\xef\xbb\xbf[\n  {"a": 1},\n  {"a": 2}\n]\n', [(None, {"a": 1}), (None, {"a": 2})]),
    ],
)
def test_any_value_may_be_a_record(document: bytes, found: list[tuple[Any, ...]], chunk_bytes: int) -> None:
    assert read(document, chunk_bytes=chunk_bytes, record_bytes=4096) == found


def test_a_root_that_begins_as_a_record_does_is_one() -> None:
    assert read(b'{"x":1,"y":[2]}', Point) == [(None, Point(1, [2]))]
    assert read(b'{"1":{"x":1}}', Point) == [("1", Point(1))]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (b"", TruncatedFeed),
        (b"{}", EmptyFeed),
        (b"[ ]", EmptyFeed),
        (b'{"result":[],"id":1}', EmptyFeed),
        (b"[1,2", TruncatedFeed),
        (b'{"a":1', TruncatedFeed),
        (b"[1,]", MalformedFeed),
        (b"[1 2]", MalformedFeed),
        (b'{"jsonrpc":"2.0","error":{"code":1,"message":"no"},"id":1}', ReplyError),
    ],
)
def test_what_is_no_whole_document_is_refused(document: bytes, error: type[EtlError]) -> None:
    with pytest.raises(error):
        read(document)
