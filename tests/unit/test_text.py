"""What is shown of text that others have made, and how times are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.command.show import table
from etl.errors import SAID_LIMIT, one_line
from etl.text import rfc3339, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain “text” of 漢字 😀 é", "plain “text” of 漢字 😀 é"),
        ("\x1b[2J\a\b", r"\x1b[2J\x07\x08"),
        ("\x9b31m", r"\x9b31m"),  # C1's control sequence introducer
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("a\u2028b\u00a0c\x85", r"a\u2028b\xa0c\x85"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (r"\x1b", r"\x1b"),
    ],
)
def test_what_is_not_printed_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_shown_text_is_printable_and_stays_as_it_is(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert visible(text, keep="\n").replace("\n", "").isprintable()


@given(st.text())
def test_what_somebody_says_is_one_printable_line_of_a_sane_length(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= SAID_LIMIT + 1


@given(st.lists(st.tuples(st.text(), st.one_of(st.none(), st.integers(), st.text())), max_size=5))
def test_a_table_has_a_line_for_each_row_and_nothing_else(rows: list[tuple[str, object]]) -> None:
    lines = table(("name", "value"), rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("time", "told"),
    [
        (datetime(2026, 11, 25, 1, 2, 3, 450000), "2026-11-25T01:02:03.450000+00:00"),
        (datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC), "2026-11-25T01:02:03+00:00"),
        (datetime(2026, 11, 25, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-11-24T23:02:03+00:00"),
    ],
)
def test_times_are_told_in_utc_with_their_zone(time: datetime, told: str) -> None:
    assert rfc3339(time) == told
    assert rfc3339(time, "seconds") == f"{told[:19]}+00:00"
