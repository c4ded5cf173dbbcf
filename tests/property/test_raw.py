"""Rows of the records' own bytes: held to a plain reading, whatever way the parser takes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.declare.match import texts
from etl.declare.pipeline import Selection
from etl.records.chunks import ChunkParser, Thresholds, Tools
from etl.records.counting import VALIDATORS
from etl.records.wanted import Wanted
from etl.shape.layout import Container, Layout
from pipelines.deals.pipeline import PIPELINE
from tests.support.documents import WANTED, Document, documents

from .test_parser import body_of, layout_of

BLANK = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class Proposal(msgspec.Struct):
    """What is looked at of a record."""

    client: str = msgspec.field(name="Client")


class Record(msgspec.Struct):
    """A record, but for all that is not looked at."""

    proposal: Proposal = msgspec.field(name="Proposal")


def _never(*_: object) -> tuple[Any, ...]:
    raise AssertionError("no row is made of a record whose bytes are wanted")


RAW = dataclasses.replace(PIPELINE, record=Record, row=_never)


def values(body: str, container: Container) -> Iterator[tuple[str | None, str]]:
    """Yield the key and the text of every record, by Python's own parser."""
    if container is Container.LINES:
        yield from ((None, line.strip(BLANK)) for line in body.split("\n") if line.strip(BLANK))
        return
    at = 0
    while at < len(body):
        key, begin = None, _SPACE.match(body, at).end()  # type: ignore[union-attr]
        if container is Container.OBJECT:
            key, end = _DECODER.raw_decode(body, begin)
            begin = _SPACE.match(body, body.index(":", end) + 1).end()  # type: ignore[union-attr]
        _, end = _DECODER.raw_decode(body, begin)
        yield key, body[begin:end]
        at = _SPACE.match(body, end).end() + 1  # type: ignore[union-attr]


def is_row(key: str | None, text: str, wanted: frozenset[str] | None) -> bool | None:
    """Say whether a record is a row; None if it is none because it is rejected."""
    record = json.loads(text)
    proposal = record.get("Proposal") if isinstance(record, dict) else None
    client = proposal.get("Client") if isinstance(proposal, dict) else None
    sound = isinstance(client, str) and not re.search("[\ud800-\udfff]", client + (key or ""))
    if wanted is None:
        return sound or None
    if isinstance(client, str):
        return (sound or None) if client in wanted else False
    return None if wanted.intersection(texts(record)) else False


@settings(max_examples=300)
@given(documents(), st.data())
def test_rows_are_the_bytes_of_the_records_as_in_the_feed(document: Document, data: st.DataObject) -> None:
    layout = layout_of(document.data)
    body = body_of(document.data, layout)
    wanted = data.draw(st.sampled_from([frozenset(WANTED), None]))
    thresholds = Thresholds(
        dense_bytes=data.draw(st.sampled_from([0, 2000, 1 << 20])),
        most_bytes=data.draw(st.sampled_from([0, 1 << 20])),
        piece_bytes=data.draw(st.sampled_from([1, 700, 3000, 1 << 20])),
    )
    tools = Tools(data.draw(st.sampled_from(VALIDATORS)))
    asked = Wanted(RAW, Selection(wanted), raw=True)
    parser = ChunkParser(asked, layout, thresholds=thresholds, tools=tools)
    parsed = parser.parse(body, layout.start)
    assert parsed.malformed is None
    found = [
        (key, text, is_row(key, text, wanted)) for key, text in values(body.decode(), layout.container)
    ]
    assert parsed.records == len(found)
    assert [row[1:] for row in parsed.rows] == [(key, text.encode()) for key, text, row in found if row]
    assert len(parsed.rejects) == [row for *_, row in found].count(None)
    positions = [row[0] for row in parsed.rows]
    assert positions == sorted(set(positions))


TEXTS = ['{"Proposal":{"Client":"f01000"},"a":[1, 2.50,"\\u00e9"]}', '{ "Proposal" : {"Client":"f01"} }']


@pytest.mark.parametrize("container", Container)
@pytest.mark.parametrize("wanted", [frozenset(["f01000", "f01"]), None])
@pytest.mark.parametrize("blank", ["", " "])
def test_white_space_around_a_record_is_no_part_of_its_bytes(
    container: Container, wanted: frozenset[str] | None, blank: str
) -> None:
    separator = "\n" if container is Container.LINES else ","
    keys = [f'{blank}"{n}"{blank}:' if container is Container.OBJECT else "" for n in range(2)]
    body = separator.join(f"{key}{blank}{text}{blank}" for key, text in zip(keys, TEXTS, strict=True))
    layout = Layout(container, (), 0, ("Proposal",))
    for dense_bytes, most_bytes in ((0, 0), (1 << 20, 0), (1 << 20, 1 << 20)):
        asked = Wanted(RAW, Selection(wanted), raw=True)
        parser = ChunkParser(asked, layout, thresholds=Thresholds(dense_bytes, most_bytes))
        parsed = parser.parse(body.encode(), 0)
        assert [row[2].decode() for row in parsed.rows] == TEXTS
        assert [row[1] for row in parsed.rows] == [key.strip(BLANK + ':"') or None for key in keys]
