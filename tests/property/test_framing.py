"""Boundaries are structural wherever they are found, and the scanner is exact."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.shape.layout import MOST_MEMBERS, Container, Layout, last_boundary, learned
from etl.shape.scanner import Scanner
from tests.support.documents import Document, Speller, build, documents

MEMBERS = ("Proposal", "State", "DealID")


def string_positions(data: bytes) -> set[int]:
    """Return the offsets inside strings, quotes excluded, by the plainest loop there is."""
    inside: set[int] = set()
    open_, escaped = False, False
    for offset, byte in enumerate(data):
        if open_:
            if not escaped and byte == ord('"'):
                open_ = False
                continue
            inside.add(offset)
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            open_, escaped = True, False
    return inside


@given(documents(), st.sampled_from([Container.OBJECT, Container.ARRAY, Container.LINES]))
def test_a_boundary_never_lies_inside_a_string(document: Document, container: Container) -> None:
    signature = Layout(container, (), 0, MEMBERS).boundary()
    inside = string_positions(document.data)
    for match in signature.finditer(document.data):
        assert match.start(1) not in inside


@given(st.integers(0, 2**32), st.sampled_from(["object", "array"]), st.integers(1, 30), st.data())
def test_the_scanner_finds_every_separator_however_the_data_is_cut(
    seed: int, shape: str, count: int, data: st.DataObject
) -> None:
    rng = random.Random(seed)
    document = build(rng, shape, count, 0.5)
    begin = document.index(b"{" if shape == "object" else b"[") + 1
    body = document[begin:]
    whole = Scanner()
    whole.feed(body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    pieces = Scanner()
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        pieces.feed(body[start:stop])
    assert (pieces.separators, pieces.closed) == (whole.separators, whole.closed)
    assert len(whole.separators) == count - 1
    assert whole.closed is not None
    assert body[whole.closed :].strip() in (b"}", b"]")
    inside = string_positions(document)
    assert all(body[at] == ord(",") and at + begin not in inside for at in whole.separators)


@given(st.integers(0, 2**32))
def test_the_last_boundary_is_a_separator_of_the_scanner_where_no_look_alike_is_nested(seed: int) -> None:
    rng = random.Random(seed)
    speller = Speller(rng)
    deals = [
        (str(n), [("Proposal", [("Client", "f01")]), ("State", [])]) for n in range(rng.randrange(2, 9))
    ]
    body = speller.value(deals)[1:].encode()
    scanner = Scanner()
    scanner.feed(body)
    signature = Layout(Container.OBJECT, (), 0, MEMBERS).boundary()
    found = last_boundary(signature, body, 0, len(body))
    assert found in (-1, scanner.separators[-1]) or found in scanner.separators


@pytest.mark.parametrize("padding", [0, 1, 4000, 5000, 70_000])
def test_the_last_boundary_is_found_however_far_from_the_end(padding: int) -> None:
    head = b'"1":{"Proposal":{}},"2":{"Proposal":{"Label":"'
    data = head + b"x" * padding
    signature = Layout(Container.OBJECT, (), 0, MEMBERS).boundary()
    assert last_boundary(signature, data, 0, len(data)) == head.index(b",")


def test_a_string_that_ends_in_an_escaped_quote_goes_on() -> None:
    scanner = Scanner()
    for byte in b'"a\\\\\\",}",1,"b"}':
        scanner.feed(bytes([byte]))
    assert scanner.separators == [9, 11]
    assert scanner.closed == 15


@pytest.mark.parametrize("container", [Container.OBJECT, Container.ARRAY])
def test_names_by_which_records_begin_are_learned_into_the_signature(container: Container) -> None:
    key = '"1" : ' if container is Container.OBJECT else ""
    body = (f'{key}{{"Proposal":1}},\n{key}{{ "Note":2}},{key}5,{key}{{"\\u0041":3}}').encode()
    scanner = Scanner()
    scanner.feed(body)
    layout = Layout(container, (), 0, MEMBERS)
    assert last_boundary(layout.boundary(), body, 0, len(body)) == -1
    layout = learned(layout, body, scanner.separators)
    assert layout.members == (*MEMBERS, "Note")
    assert last_boundary(layout.boundary(), body, 0, len(body)) == scanner.separators[0]


def test_a_signature_does_not_grow_without_end() -> None:
    body = ",".join(f'{{"name {n}":1}}' for n in range(1000)).encode()
    scanner = Scanner()
    scanner.feed(body)
    assert (
        len(learned(Layout(Container.ARRAY, (), 0, ()), body, scanner.separators).members) == MOST_MEMBERS
    )


@given(documents(), st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=5))
def test_whatever_names_it_knows_a_boundary_never_lies_inside_a_string(
    document: Document, names: list[str]
) -> None:
    layout = Layout(Container.ARRAY, (), 0, (*MEMBERS, *names, "}", ",", "", "X"))
    inside = string_positions(document.data)
    assert not any(match.start(1) in inside for match in layout.boundary().finditer(document.data))
