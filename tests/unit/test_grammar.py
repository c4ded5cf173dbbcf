"""One record in pieces, held to Python's own parser, made strict."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import etl.shape.grammar
from etl.shape.diagnosis import NotJson, strictly
from etl.shape.grammar import DEEPEST, Grammar
from etl.shape.layout import Container
from tests.support.effort import THOROUGH, examples
from tests.support.json_cases import NO, OPEN, YES

OFFSET = 1000


def refused_at(data: bytes, sizes: list[int], container: Container = Container.ARRAY) -> int | None:
    """Where a record is refused that comes in pieces of these sizes, in turn; None if it is taken."""
    grammar = Grammar(container, OFFSET)
    position = number = 0
    try:
        while position < len(data):
            size = sizes[number % len(sizes)]
            grammar.feed(data[position : position + size])
            position, number = position + size, number + 1
        grammar.close()
    except NotJson as error:
        return error.offset - OFFSET
    return None


def error_of(data: bytes) -> NotJson | None:
    """What Python's own parser says."""
    try:
        strictly(data, 0)
    except NotJson as error:
        return error
    return None


def assert_judged_as_strictly(data: bytes, sizes: list[int]) -> None:
    found, error = refused_at(data, sizes), error_of(data)
    assert (found is None) == (error is None)
    if found is not None and error is not None and found != error.offset:
        # One may name where a token starts, and the other what spoils it.
        low, high = sorted((found, error.offset))
        assert data[low : low + 1] in (b'"', b"\\") or re.fullmatch(rb"[0-9A-Za-z+.-]*", data[low:high])


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), ("\n , \t", " :\r\n")])


@settings(max_examples=examples(200))
@given(values, st.booleans(), SPACING, st.lists(st.integers(1, 9), min_size=1), st.data())
def test_a_value_is_judged_as_python_does(
    value: object, ascii_only: bool, spacing: tuple[str, str], sizes: list[int], data: st.DataObject
) -> None:
    whole = json.dumps(value, ensure_ascii=ascii_only, separators=spacing).encode("utf-8", "surrogatepass")
    assert_judged_as_strictly(whole, sizes)
    damaged = bytearray(whole)
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place : place + data.draw(st.integers(0, 1))] = data.draw(
        st.sampled_from([b"", *(bytes([byte]) for byte in b'{}[],:"\\ \n0.-+eEatu\xff\x00\xc3')])
    )
    assert_judged_as_strictly(bytes(damaged), sizes)


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("name", [*YES, *(name for name, case in OPEN.items() if case.rule != "deep")])
def test_what_is_json_is_taken_in_pieces(name: str, size: int) -> None:
    value = YES[name] if name in YES else OPEN[name].value
    assert refused_at(value, [size]) is None
    assert refused_at(b'"key":[' + value + b",{}]", [size], Container.OBJECT) is None


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("name", NO)
def test_what_is_not_is_refused_in_pieces(name: str, size: int) -> None:
    case = NO[name]
    found = refused_at(b'{"X":' + case.value + b"}", [size])
    assert found is not None
    if case.at >= 0:
        assert case.token <= found - 5 <= case.at
    assert refused_at(b'"key":{"a":' + case.value + b"}", [size], Container.OBJECT) is not None


@pytest.mark.parametrize(
    "data", [b"1", b'"a"', b'"a":', b'"a":1,', b',"a":1', b'"a":1}', b"a:1", b'"a":1 2']
)
def test_a_member_has_a_key_and_one_value(data: bytes) -> None:
    assert refused_at(b'"a": 1 ', [3], Container.OBJECT) is None
    assert refused_at(data, [3], Container.OBJECT) is not None


@pytest.mark.parametrize("pieces", [1, 3, 1 << 18])
def test_tokens_may_be_of_any_length(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etl.shape.grammar, "CHECKED_BYTES", pieces)
    count = 100_000 if THOROUGH or pieces > 3 else 5_000
    digits = b"7" * count
    for value in (digits, b"-0." + digits, b"1e" + digits, b'"' + digits + b'"', b" " * count + b"1"):
        assert refused_at(value, [len(value)]) is None
        assert refused_at(b"[" + value + b"]", [len(value)]) is None
        assert refused_at(value + b".x", [len(value)]) is not None


def test_a_wrong_byte_far_behind_is_named() -> None:
    chance = random.Random(1)
    item = b'{"a":[1,{"b":"\xc3\xa9\\n"}],"c":-1.5e3},'
    for bad in (b"x", b"\xff", b"}", b'"\n"', b"01"):
        before = item * chance.randrange(50_000)
        found = refused_at(b"[" + before + bad + b"," + item * 1000, [100_000])
        assert found in (1 + len(before), 2 + len(before))


def test_no_more_brackets_may_be_open_than_are_remembered() -> None:
    assert refused_at(b"[" * DEEPEST + b"]" * DEEPEST, [1 << 18]) is None
    assert refused_at(b"[" * (DEEPEST + 1), [1 << 18]) == DEEPEST


def nested(chance: random.Random, depth: int) -> bytes:
    """A value that is nested so deeply, in arrays and objects that often hold little else."""
    if depth == 0:
        return chance.choice((b"1", b'"[{"', b"null", b"[]", b"{ }"))
    inside = nested(chance, depth - 1)
    others = [chance.choice((b"7", b'["x"]', b"{}")) for _ in range(chance.choice((0, 0, 1, 2)))]
    items = [*others[:1], inside, *others[1:]]
    if chance.random() < 0.5:
        return b"[" + b" , ".join(items) + b"]"
    return b"{" + b",\n".join(b'"k" :' + item for item in items) + b"}"


@pytest.mark.parametrize("seed", range(60))
def test_what_is_nested_is_judged_as_python_does(seed: int) -> None:
    chance = random.Random(seed)
    whole = nested(chance, chance.randrange(1, 60))
    for sizes in ([1], [7], [len(whole)]):
        assert_judged_as_strictly(whole, sizes)
        for _ in range(5):
            place = chance.randrange(len(whole))
            damaged = (
                whole[:place] + chance.choice((b"", b"]", b"}", b"[", b"{", b",")) + whole[place + 1 :]
            )
            assert_judged_as_strictly(damaged, sizes)
