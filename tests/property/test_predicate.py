"""The raw look never misses: every spelling of a wanted value holds a literal."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import etl.records.search
from etl.records.prefilter import FEW, RawFilter, literals
from etl.records.search import MANY, SEARCHES
from tests.support.documents import Speller
from tests.support.effort import examples

addresses = st.from_regex(r"[ft]0[0-9]{1,12}", fullmatch=True)
values = st.one_of(addresses, st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


def spellings(value: str, seed: int) -> bytes:
    return Speller(random.Random(seed)).string(value).encode()


@given(st.lists(values, min_size=1, max_size=8), st.data())
def test_every_spelling_of_a_wanted_value_holds_a_literal(wanted: list[str], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(wanted))
    spelled = spellings(value, data.draw(st.integers(0, 2**32)))
    assert json.loads(spelled) == value
    text = data.draw(st.binary(max_size=20)) + spelled + data.draw(st.binary(max_size=20))
    assert any(literal in text for literal in literals(wanted))
    assert RawFilter(wanted).candidates(memoryview(text))


SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def every_spelling(character: str) -> list[str]:
    """All that RFC 8259 allows for one character in a string, with each digit in each case."""
    units = character.encode("utf-16-be")
    digits = "".join(f"\\u{int.from_bytes(units[i : i + 2], 'big'):04x}" for i in range(0, len(units), 2))
    cases = [sorted({digit, digit.upper()}) if digit in "abcdef" else [digit] for digit in digits]
    found = ["".join(chosen) for chosen in product(*cases)]
    if character >= " " and character not in '"\\':
        found.append(character)
    if character in SHORT:
        found.append(f"\\{SHORT[character]}")
    return found


AWKWARD = '"\\/\b\f\n\r\t\0\x1f\x7fa:\xe9\xff\u0100\uabcd\uffff\U00010000\U0001f600\U0010ffff'


@settings(max_examples=examples(30))
@given(st.text(st.sampled_from(AWKWARD), max_size=2), st.text(st.sampled_from(AWKWARD), max_size=2))
@example("", "")
@example("/", "\U0001f600")
@example('"', "\\")
def test_no_spelling_at_all_of_a_wanted_value_is_missed(value: str, other: str) -> None:
    found = RawFilter({value, other})
    for characters in product(*map(every_spelling, value)):
        spelled = f'"{"".join(characters)}"'
        assert json.loads(spelled) == value
        assert found.candidates(memoryview(spelled.encode())), spelled


def test_only_escapes_that_a_wanted_character_can_have_are_sought() -> None:
    assert literals(["org1/repo11"]) == [b'"org1/repo11"', rb"\/", rb"\u00"]
    assert literals(['a"b', "c\nd", "e"]) == [b'"e"', rb"\"", rb"\n", rb"\u00"]
    assert literals(["\u4e2d"]) == ['"\u4e2d"'.encode(), rb"\u"]
    assert literals([""]) == [b'""']
    assert literals([]) == []


def events(repositories: int, count: int) -> bytes:
    """Events as lines, each with some escapes that have nothing to do with what is wanted."""
    said = r"She said \"done\"\nC:\\temp \t<\u003cb\u003e> \u4e2d\u6587"
    lines = (
        f'{{"id":{number},"repo":{{"name":"org{number % 7}/repo{number % repositories}"}},"msg":"{said}"}}'
        for number in range(count)
    )
    return "\n".join(lines).encode()


def test_a_slash_in_a_wanted_value_makes_no_candidates_of_other_escapes() -> None:
    feed = events(100, 5000)
    wanted = sum(number % 7 == 1 and number % 100 == 11 for number in range(5000))
    assert len(RawFilter(["org1/repo11"]).candidates(memoryview(feed))) == wanted == 7
    # Of the letters of what is said, none is wanted here; there, one of the two that are escaped is.
    assert RawFilter(["\u4e0a/\U0001f600"]).candidates(memoryview(feed)) == []
    assert len(RawFilter(["\u4e2d"]).candidates(memoryview(feed))) == 5000


def test_escapes_of_characters_that_no_wanted_value_has_are_no_candidates() -> None:
    found = RawFilter(["f01"])
    assert found.candidates(memoryview(rb'"\u003c\u0026\u0000\u0022" "\u0032"')) == []
    assert len(found.candidates(memoryview(rb'"\u0066\u0030" "\u0031"'))) == 3
    assert len(RawFilter(["jO"]).candidates(memoryview(rb'"\u006A\u006a" "\u004f\u004F"'))) == 4


def test_candidates_are_the_ends_of_all_occurrences() -> None:
    text = b'{"a":"f01","b":"f0\\u0031","c":"f01"}'
    found = RawFilter(["f01"]).candidates(memoryview(text))
    assert found == [text.index(b'"f01"') + 5, text.index(b"\\u00") + 4, text.rindex(b'"f01"') + 5]


def test_a_longer_address_that_begins_alike_is_no_candidate() -> None:
    assert RawFilter(["f01"]).candidates(memoryview(b'"f011" "f0100" "xf01"')) == []


def test_ten_thousand_values_are_found_like_one() -> None:
    wanted = [f"f0{number}" for number in range(10_000, 20_000)]
    found = RawFilter(wanted)
    assert all(found.candidates(memoryview(f'"{value}"'.encode())) for value in wanted[::997])
    assert found.candidates(memoryview(b'"f09999" "f020000"')) == []


def occurrences(text: bytes, sought: list[bytes], digits: set[bytes]) -> list[int]:
    r"""The slow twin: where each occurrence of each literal ends, if digits that count follow `\u00`."""
    ends = sorted((at + len(x), x) for x in sought for at in range(len(text)) if text.startswith(x, at))
    return [end for end, x in ends if x != rb"\u00" or text[end : end + 2].lower() in digits]


CAPABILITIES = (
    () if etl.records.search.stringzilla is None else etl.records.search.stringzilla.__capabilities__
)


@pytest.fixture(params=["plain", *CAPABILITIES], scope="module")
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Python's own search, and each of the instruction sets that StringZilla can use here, by itself."""
    if request.param == "plain":
        yield request.param
        return
    stringzilla = etl.records.search.stringzilla
    every = stringzilla.__capabilities__
    stringzilla.reset_capabilities(["serial", request.param])
    yield request.param
    stringzilla.reset_capabilities(every)


pieces = [
    rb"\u0066",
    rb"\u00E9",
    b'"f01"',
    b'"f01',
    b'f01"',
    '"\xe9"'.encode(),
    '"\xe9\xe9"'.encode(),
    b"\\u00",
    b"\\",
    b" " * 63,
]
texts = st.lists(st.one_of(st.sampled_from(pieces), st.binary(max_size=70)), max_size=12).map(b"".join)


@given(texts, st.integers(0, 70), st.integers(1, FEW + 3))
@example(b'"f01"', 0, FEW)
def test_few_and_many_values_are_found_as_by_a_loop(
    kernel: str, text: bytes, start: int, number: int
) -> None:
    """At every distance from the start of a block, with every instruction set; not what is behind."""
    wanted = ["f01", *("\xe9" * n for n in range(1, number + 1))]
    data = memoryview(b"x" * start + text + b'"f01"')[start : start + len(text)]
    digits = {b"66", b"30", b"31", b"e9"}
    search, many = (SEARCHES[-1], MANY[-1]) if kernel == "plain" else (SEARCHES[0], MANY[0])
    found = RawFilter(wanted, search, many)
    assert found.candidates(data) == occurrences(text, literals(wanted), digits)
    assert found.most(data) == len(occurrences(text, literals(wanted), digits))


@given(st.lists(values, min_size=FEW + 1, max_size=30, unique=True), st.data())
def test_every_way_finds_the_same_places_for_many_values(wanted: list[str], data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from([*literals(wanted), b'"', b"x", b"\\u0066", b"\\n"])))
    text = b"".join(parts)
    ways = [sorted(RawFilter(wanted, many=many).candidates(memoryview(text))) for many in MANY]
    few = RawFilter(wanted, search=SEARCHES[-1], few=len(literals(wanted)))
    assert all(way == sorted(few.candidates(memoryview(text))) for way in ways)
    for many in MANY:
        spelled = text + spellings(wanted[0], data.draw(st.integers(0, 99)))
        assert RawFilter(wanted, many=many).candidates(memoryview(spelled))
