"""Many records wanted, and nearly nothing but separators between them: held to the reference."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.records.chunks import ChunkParser, Thresholds
from etl.shape.layout import Container, Layout
from tests.support.documents import WANTED, Speller, record
from tests.support.effort import examples
from tests.support.twin.deals import expected
from tests.support.twin.reading import NotWellFormed

from .test_parser import ASKED, HEAD, MEMBERS, rows_of

KEYS = ['"%d"', '"%d"', '"%d"', '"%d"', '"1"', '"\\u0031%d"', '"%d" ', ' "%d"', '"\u00e9%d"', '"0%d"']
SEPARATORS = {
    Container.OBJECT: [",", ",", ",", ",", ", ", " ,"],
    Container.ARRAY: [",", ",", ",", ",", ", ", " ,"],
    Container.LINES: ["\n", "\n", "\n", "\n", " ", "\n\n", "\r\n", "\n "],
}
SHAPE_OF = {Container.OBJECT: "object", Container.ARRAY: "array", Container.LINES: "lines"}


def compact(container: Container, chance: random.Random, odd: float, awkward: float) -> str:
    """Records one after the other, and here and there something that need not be there, or must not."""
    texts = []
    for number in range(chance.randrange(1, 30)):
        deal = record(chance, awkward)
        if container is not Container.OBJECT:
            deal.append(("DealID", number))
        text = Speller(chance).plain().value(deal)
        if container is Container.OBJECT:
            key = chance.choice(KEYS) if chance.random() < odd else KEYS[0]
            text = (key % number if "%" in key else key) + ":" + text
        texts.append(text)
    separators = SEPARATORS[container]
    ends = [chance.choice(separators) if chance.random() < odd else separators[0] for _ in texts[1:]]
    return "".join(text + end for text, end in zip(texts, [*ends, ""], strict=True))


@settings(max_examples=examples(400))
@given(
    st.sampled_from(Container), st.integers(0, 2**32), st.sampled_from([0, 0.05, 0.3]),
    st.sampled_from([0, 0, 0.1]), st.sampled_from([700, 3000, 1 << 20]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_is_told_apart_is_what_the_reference_finds(
    container: Container,
    seed: int,
    odd: float,
    awkward: float,
    piece_bytes: int,
    damaged: bool,
    whole: bool,
) -> None:
    chance = random.Random(seed)
    body = compact(container, chance, odd, awkward).encode()
    if damaged:
        at = chance.randrange(len(body))
        body = body[:at] + bytes([chance.choice(b'"{}[],:\\ \n0u\xff')]) + body[at + chance.randrange(2) :]
    layout = Layout(container, (), 1, MEMBERS)
    thresholds = Thresholds(1 << 20, whole * (1 << 20), piece_bytes)
    parser = ChunkParser(ASKED, layout, thresholds=thresholds)
    parsed = parser.parse(body, 1)
    try:
        want = expected(
            container.opening + body + container.closing, SHAPE_OF[container], set(WANTED), HEAD
        )
    except NotWellFormed:
        assert parsed.malformed is not None
        return
    assert parsed.malformed is None
    rows = rows_of([parsed])
    assert (parsed.records, len(rows), len(parsed.rejects)) == (want.records, want.matched, want.rejected)
    positions = [row.pop("position") for row in rows]
    assert positions == sorted(set(positions))
    assert {row["deal_id"]: row for row in rows} == want.rows
