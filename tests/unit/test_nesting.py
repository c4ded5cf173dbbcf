"""Well-formedness without recursion is what it is with it."""

from __future__ import annotations

import random

import pytest

from etl.shape.diagnosis import NotJson
from etl.shape.events import check_deep
from tests.support.damage import DAMAGES, NUMBERS, STRINGS, WORDS
from tests.support.documents import SHAPES, build
from tests.support.twin.reading import NotWellFormed, loads


def fault(value: bytes) -> int | None:
    """Return where a value goes wrong, if it does."""
    try:
        check_deep(value, 0)
    except NotJson as error:
        return error.offset
    return None


def is_sound(value: bytes) -> bool:
    try:
        loads(value)
    except NotWellFormed:
        return False
    return True


@pytest.mark.parametrize(
    "value", [*NUMBERS, *STRINGS, *WORDS, b"", b" ", b"[1,]", b"[,]", b'{"a":1,}', b"[}", b"1 2"]
)
def test_a_value_is_well_formed_as_json_says(value: bytes) -> None:
    for whole in (b"[" + value + b"]", b' {"a" : ' + value + b" } ", b"[0," + value + b",1]"):
        assert (fault(whole) is None) == is_sound(whole)


def test_a_damaged_document_is_well_formed_as_json_says() -> None:
    chance = random.Random(5)
    for _ in range(300):
        document = build(chance, chance.choice(SHAPES), 2, 0.5).removeprefix(b"\xef\xbb\xbf")
        damaged = chance.choice(DAMAGES)(chance, document)
        if b"[[[" not in damaged and damaged.count(b"{") < 100:
            assert (fault(damaged) is None) == is_sound(damaged), damaged


def test_names_the_byte_at_which_a_deep_value_goes_wrong() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert fault(deep) is None
    assert fault(deep[:-1]) == len(deep) - 1
    assert fault(deep[:-1] + b" }") == len(deep)
    names = b'{"a":' * 5000 + '"é"'.encode() + b"}" * 4999
    assert fault(names + b"}") is None
    assert fault(names + b"]") == len(names)
