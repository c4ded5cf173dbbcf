"""The tables that the measurements are shown in, and what is read back from a file."""

from __future__ import annotations

import json

import pytest

from bench.measure import Spread
from bench.report import Figure, Part, as_json, from_json, markdown, table

PART = Part(
    "Some",
    [
        Figure("time", Spread(2, 1.5, 2.5), "s"),
        Figure("ratio", Spread(1.04, 1.04, 1.04), at_most=1.05),
        Figure("rate", Spread(249, 200, 1_300), "MB/s", at_least=250),
    ],
    ["some command"],
    ["A note."],
)


@pytest.mark.parametrize(
    ("figure", "met", "target"),
    [
        (Figure("", Spread(1, 1, 1)), None, ""),
        (Figure("", Spread(1.05, 1, 2), at_most=1.05), True, "at most 1.05"),
        (Figure("", Spread(1.06, 1, 2), at_most=1.05), False, "at most 1.05"),
        (Figure("", Spread(300_000, 1, 2), at_least=300_000), True, "at least 300,000"),
        (Figure("", Spread(249, 1, 999), at_least=250), False, "at least 250"),
    ],
)
def test_a_target_is_met_or_not(figure: Figure, met: bool | None, target: str) -> None:
    assert (figure.met, figure.target) == (met, target)


def test_a_part_as_markdown() -> None:
    assert markdown(PART).splitlines() == [
        "",
        "**Some**",
        "",
        "| | median | range | target | |",
        "| --- | --: | --: | --: | --- |",
        "| time | 2 s | 1.50 to 2.50 |  |  |",
        "| ratio | 1.04 |  | at most 1.05 | met |",
        "| rate | 249 MB/s | 200 to 1,300 | at least 250 | MISSED |",
        "",
        "A note.",
    ]


def test_what_is_read_back_is_what_was_written() -> None:
    written = json.loads(json.dumps(as_json({}, {}, [PART])))
    (part,) = from_json(written["parts"])
    assert part == PART
    assert table(part) == table(PART)
