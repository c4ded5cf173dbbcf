"""Whatever JSON allows may stand where nobody looks: the rows are those of the record without it."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.declare.match import texts
from etl.records.chunks import ChunkParser, Thresholds
from etl.records.respelling import marked, without_overridden
from etl.shape.layout import Container, Layout
from tests.support.documents import WANTED
from tests.support.effort import examples

from .test_parser import ASKED, MEMBERS

UNITS = st.sampled_from(
    [
     "a", "f01000", r"\"", r"\\", r"\/", r"\n", r"\u0000", r"\u0041", r"\ud800", r"\uDBFF", r"\udc00",
     r"\uDfFf", r"\ud83d\ude00", "\u00e9", "\U0001f600", "\ue000", r"\ue001", "\x7f", "ud800", r"\\ud800"]
)  # fmt: skip
STRINGS = st.lists(UNITS, max_size=6).map(lambda units: f'"{"".join(units)}"')
NAMES = st.one_of(STRINGS, st.sampled_from(['""', '"Client"', '"Proposal"', r'"Cl\u0069ent"']))
NUMBERS = st.sampled_from(
    ["0", "-0", "1.50", "1e400", "-1E+400", "1e-400", "9" * 30, "9" * 5000, "0." + "1" * 400, str(2**64)]
)
SCALARS = st.one_of(STRINGS, NUMBERS, st.sampled_from(["null", "true", "false", "{}", "[ ]"]))


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
    members = st.lists(st.tuples(NAMES, inner).map(":".join), max_size=4)
    return st.one_of(arrays, members.map(lambda items: "{" + ", ".join(items) + "}"))


VALUES = st.recursive(SCALARS, nested, max_leaves=12)
UNUSED_NAMES = NAMES.filter(lambda name: json.loads(name) not in ("Client", "Proposal"))


def record(proposal: str, client: str, before: str = "", inside: str = "", after: str = "") -> str:
    return (
        f'{{{before}"{proposal}":{{{inside}"PieceSize":7,"VerifiedDeal":true,"Client":"{client}","Provider":"f02",'
        f'"Label":"\\u00e9","StartEpoch":1,"EndEpoch":2,"StoragePricePerEpoch":"0","ProviderCollateral":"1",'
        f'"ClientCollateral":"2"}},"State":{{"SectorStartEpoch":-1,"LastUpdatedEpoch":-1,"SlashEpoch":-1}},'
        f'"DealID":17{after}}}'
    )


def found(
    container: Container, texts: list[str], thresholds: Thresholds
) -> tuple[int, list[Any], list[Any]]:
    separator = "\n" if container is Container.LINES else ","
    keyed = [f'"{n}":{text}' if container is Container.OBJECT else text for n, text in enumerate(texts)]
    parser = ChunkParser(ASKED, Layout(container, (), 0, MEMBERS), thresholds=thresholds)
    parsed = parser.parse(separator.join(keyed).encode(), 0)
    assert parsed.malformed is None
    return parsed.records, [row[1:] for row in parsed.rows], parsed.rejects


@settings(max_examples=examples(300))
@given(
    st.sampled_from(Container), VALUES, UNUSED_NAMES, st.sampled_from([0, 1 << 20]),
    st.sampled_from([0, 1 << 20]), st.sampled_from(["before", "inside", "after"]),
)  # fmt: skip
@example(Container.OBJECT, r'"\ud800"', '"X"', 0, 0, "inside")
@example(Container.LINES, r'{"\udfff":{"a":1e400}}', r'"\ud800"', 1 << 20, 1 << 20, "before")
def test_any_json_in_a_member_that_nobody_uses_changes_no_row(
    container: Container, value: str, name: str, dense_bytes: int, most_bytes: int, where: str
) -> None:
    member = f",{name}:{value}" if where == "after" else f"{name}:{value},"
    thresholds = Thresholds(dense_bytes, most_bytes)
    plain = [record("Proposal", WANTED[n % 2]) for n in range(3)]
    odd = [*plain[:1], record("Proposal", WANTED[1], **{where: member}), *plain[2:]]
    assert found(container, odd, thresholds) == found(container, plain, thresholds)


def pairs_of(value: str) -> Any:
    """A value with its numbers as spelled, and all members of its objects, repeated ones too."""
    return json.loads(value, parse_int=str, parse_float=str, object_pairs_hook=lambda pairs: pairs)


@given(VALUES)
def test_a_mark_stands_for_each_lone_surrogate_and_nothing_else_changes(value: str) -> None:
    generic = pairs_of(value)
    lone = any("\ud800" <= c <= "\udfff" for text in texts(generic) for c in text)
    spelled, mark = marked(value.encode())
    assert (mark is not None) == lone
    if mark is None:
        assert spelled == value.encode()
        return
    again = pairs_of(spelled.decode())
    assert not any(mark in text for text in texts(generic))
    assert not any("\ud800" <= c <= "\udfff" for text in texts(again) for c in text)
    unmarked = re.sub(re.escape(json.dumps(mark)[1:-1]) + "(ud[89a-f]..)", r"\\\1", json.dumps(again))
    assert pairs_of(unmarked) == pairs_of(json.dumps(generic))


@given(VALUES)
def test_without_overridden_members_it_is_the_same_value_with_numbers_as_spelled(value: str) -> None:
    if marked(value.encode())[1] is None:  # which is done before
        spelled = without_overridden(value.encode()).decode()
        last = json.loads(value, parse_int=str, parse_float=str)
        assert json.loads(spelled, parse_int=str, parse_float=str) == last
        repeated = []

        def note(pairs: list[tuple[str, Any]]) -> None:
            repeated.append(len(pairs) - len(dict(pairs)))

        json.loads(spelled, object_pairs_hook=note, parse_int=str)
        assert not any(repeated)
